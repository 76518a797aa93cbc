import { pipeline } from 'node:stream/promises';
import { createInflateRaw, crc32 } from 'node:zlib';
import { refuseEntry } from './refuse.js';
import type { ArchiveEntry } from './validate.js';

/** Takes unpacked bytes, in order. */
export type Consume = (chunk: Buffer) => Promise<void> | void;

/** Reads a stream of an archive's bytes front to back, knowing where it stands. */
export class Cursor {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(
    source: AsyncIterable<Buffer>,
    public position: number,
  ) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** The next `length` bytes, in pieces. */
  async *bytes(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0;) {
      const chunk = this.#rest.length > 0 ? this.#rest : await this.#next();
      const piece = chunk.subarray(0, left);
      this.#rest = chunk.subarray(piece.length);
      this.position += piece.length;
      left -= piece.length;
      yield piece;
    }
  }

  async take(length: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const piece of this.bytes(length)) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  async skipTo(position: number): Promise<void> {
    for await (const _ of this.bytes(position - this.position));
  }

  async #next(): Promise<Buffer> {
    const { done, value } = await this.#chunks.next();
    if (done) throw new Error('the archive ended too early');
    return value;
  }
}

/**
 * Reads the header in front of an entry's bytes and leaves the cursor at the bytes. Throws `InvalidInput` when it
 * tells another story than the directory, which other programs might believe.
 */
export async function readLocalHeader(archive: string, cursor: Cursor, entry: ArchiveEntry): Promise<void> {
  const refuse = (reason: string) => refuseEntry(archive, entry.path, reason);
  if (cursor.position > entry.headerOffset) throw refuse('overlaps another entry');
  await cursor.skipTo(entry.headerOffset);
  const header = await cursor.take(30);
  if (header.readUInt32LE(0) !== 0x04034b50) throw refuse('has no header in front of its bytes');
  const name = await cursor.take(header.readUInt16LE(26));
  await cursor.skipTo(cursor.position + header.readUInt16LE(28));
  if (!name.equals(entry.rawName))
    throw refuse(`is called ${JSON.stringify(name.toString())} in its own header`);
  if (header.readUInt16LE(6) & 0x2041) throw refuse('is encrypted');
  if (header.readUInt16LE(8) !== (entry.method === 'stored' ? 0 : 8))
    throw refuse('is packed in another way than the directory says');
}

/**
 * Unpacks one entry. Throws `InvalidInput` as soon as it holds more or less than the directory says, is damaged,
 * or its checksum is wrong.
 */
export async function unpackEntry(
  archive: string,
  entry: Pick<ArchiveEntry, 'path' | 'method' | 'size' | 'packed'> & { crc32?: number },
  packed: AsyncIterable<Buffer>,
  consume: Consume,
): Promise<void> {
  const refuse = (reason: string, cause?: unknown) => refuseEntry(archive, entry.path, reason, cause);
  let size = 0;
  let crc = 0;
  const judge = async (chunk: Buffer) => {
    size += chunk.length;
    if (size > entry.size) throw refuse(`unpacks to more than the ${entry.size} bytes it says`);
    if (entry.crc32 !== undefined) crc = crc32(chunk, crc);
    await consume(chunk);
  };
  if (entry.method === 'stored') for await (const chunk of packed) await judge(chunk);
  else {
    const inflate = createInflateRaw({ chunkSize: 128 * 1024 });
    try {
      await pipeline(packed, inflate, async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) await judge(chunk);
      });
    } catch (error) {
      if (!(error as NodeJS.ErrnoException).code?.startsWith('Z_')) throw error;
      throw refuse('is damaged', error);
    }
    if (inflate.bytesWritten !== entry.packed) throw refuse('has bytes after its end');
  }
  if (size !== entry.size) throw refuse(`unpacks to ${size} bytes instead of the ${entry.size} it says`);
  if (entry.crc32 !== undefined && crc !== entry.crc32) throw refuse('is damaged: its checksum is wrong');
}
