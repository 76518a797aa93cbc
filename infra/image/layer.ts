import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack, type Header, type Pack } from 'tar-stream';
import type { Descriptor } from '../../platform/images/index.js';
import { ociLayer } from '../../platform/images/manifest.js';
import { hashing } from '../local/hashing.js';

/** A layer and where its bytes come from. */
export type Layer = {
  descriptor: Descriptor;
  /** Digest of the tar in it. */
  diffId: string;
  createdBy: string;
  open: (start: number) => Promise<Readable> | Readable;
};

/** Something that goes into a layer: a file or a folder with all it holds, or an empty folder of an owner. */
export type Content = { path: string; from: string } | { path: string; owner: number };

/**
 * Packs files into a gzipped layer on disk. Times are zero, owners root, order that of the paths: equal content is
 * an equal layer, which registries and nodes have already.
 */
export async function packLayer(
  contents: readonly Content[],
  file: string,
  createdBy: string,
): Promise<Layer> {
  const tar = pack();
  const plain = hashing();
  const packed = hashing();
  await Promise.all([
    fill(tar, contents),
    pipeline(tar, plain.stream, createGzip(), packed.stream, createWriteStream(file)),
  ]);
  const digest = packed.digest();
  return {
    descriptor: { mediaType: `${ociLayer}+gzip`, digest, size: packed.size() },
    diffId: plain.digest(),
    createdBy,
    open: (start) => createReadStream(file, { start }),
  };
}

async function fill(tar: Pack, contents: readonly Content[]): Promise<void> {
  for (const content of contents)
    if ('owner' in content) await folder(tar, content.path, content.owner);
    else await add(tar, content.path, content.from);
  tar.finalize();
}

async function add(tar: Pack, path: string, from: string): Promise<void> {
  const status = await lstat(from);
  if (status.isDirectory()) {
    await folder(tar, path);
    for (const name of (await readdir(from)).sort()) await add(tar, `${path}/${name}`, join(from, name));
  } else if (status.isSymbolicLink()) {
    await entry(tar, { name: path, type: 'symlink', linkname: await readlink(from), mode: 0o777 });
  } else {
    const mode = status.mode & 0o111 ? 0o755 : 0o644;
    await entry(tar, { name: path, size: status.size, mode }, createReadStream(from));
  }
}

const folder = (tar: Pack, path: string, owner = 0): Promise<void> =>
  entry(tar, { name: `${path}/`, type: 'directory', mode: 0o755, uid: owner, gid: owner });

async function entry(tar: Pack, header: Partial<Header> & { name: string }, bytes?: Readable): Promise<void> {
  const whole = { uid: 0, gid: 0, mtime: new Date(0), ...header };
  if (bytes) await pipeline(bytes, tar.entry(whole));
  else await new Promise<void>((done, fail) => tar.entry(whole, (error) => (error ? fail(error) : done())));
}
