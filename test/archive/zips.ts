import { deflateRawSync } from 'node:zlib';
import { crc32 } from 'node:zlib';

/** An entry as hostile as wanted: whatever is given stands in the archive as it is. */
export type RawEntry = {
  name: string | Buffer;
  /** Bytes in the archive; deflated before, where `method` is 8 and `packed` is not given. */
  content?: Buffer;
  packed?: Buffer;
  method?: number;
  flags?: number;
  /** Unix mode, e.g. `0o120777` for a symbolic link. */
  mode?: number;
  crc?: number;
  /** Unpacked size that the directory tells. */
  size?: number;
  /** Name in the header in front of the bytes. */
  localName?: string;
  /** Takes the header, and so the bytes, of the entry with this number instead of its own. */
  shares?: number;
};

/** Writes a zip by hand (APPNOTE 4.3), so that it can lie. */
export function rawZip(entries: RawEntry[], options: { count?: number } = {}): Buffer {
  const local: Buffer[] = [];
  const central: Buffer[] = [];
  const offsets: number[] = [];
  let at = 0;
  for (const entry of entries) {
    const { content = Buffer.from('content'), method = 0, flags = 0x800, mode = 0o100644 } = entry;
    const name = Buffer.from(entry.name);
    const packed = entry.packed ?? (method === 8 ? deflateRawSync(content) : content);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(flags, 2);
    fields.writeUInt16LE(method, 4);
    fields.writeUInt16LE(0x21, 8);
    fields.writeUInt32LE(entry.crc ?? crc32(content), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(entry.size ?? content.length, 18);
    offsets.push(entry.shares === undefined ? at : offsets[entry.shares]!);
    if (entry.shares === undefined) {
      const localName = Buffer.from(entry.localName ?? name);
      fields.writeUInt16LE(localName.length, 22);
      const header = Buffer.concat([Buffer.from('PK\x03\x04'), fields, localName, packed]);
      local.push(header);
      at += header.length;
    }
    fields.writeUInt16LE(name.length, 22);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE((mode << 16) >>> 0, 6);
    tail.writeUInt32LE(offsets.at(-1)!, 10);
    central.push(Buffer.concat([Buffer.from('PK\x01\x02'), Buffer.from([20, 3]), fields, tail, name]));
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(options.count ?? entries.length, 8);
  end.writeUInt16LE(options.count ?? entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...local, directory, end]);
}
