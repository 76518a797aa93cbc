import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { SlipwayError } from '../../contract/errors.js';
import { digestOf, type Digest } from '../../contract/names.js';
import type { BlobSource } from './index.js';
import { compare, lengthOf, tarSegments, tarSize, type Segment } from './layers-tar.js';

/** Files at least this big have a layer of their own. */
export const largeBytes = 4 * 2 ** 20;
/** Large files beyond this number share layers: Docker runs no image of more than 125. */
const maxLarge = 64;
const smallGroups = 16;

type File = { path: string; size: number };
/** A file whose bytes can be read from any offset. */
export type LayerFile = File & { open: (start: number) => Promise<Readable> | Readable };

/**
 * Decides which files share a layer: a large file has one of its own, small files are grouped by a hash of their
 * path. So a file added, changed or removed leaves every other file where it was. At most 80 layers, sorted; each
 * names its files, sorted. Throws `InvalidInput` for names that mean "removed" in an image.
 */
export function planLayers(files: readonly File[]): { files: string[] }[] {
  const whiteout = files.find(({ path }) => /(^|\/)\.wh\./.test(path));
  if (whiteout)
    throw new SlipwayError(
      'InvalidInput',
      `planning layers: "${whiteout.path}" has a name that means "removed" in an image (".wh.")`,
      { entry: whiteout.path },
    );
  const large = files.filter(({ size }) => size >= largeBytes);
  const alone = large.length <= maxLarge;
  const groups = new Map<string, string[]>();
  for (const { path, size } of files) {
    const group =
      size < largeBytes
        ? `small/${groupOf(path, smallGroups)}`
        : `large/${alone ? path : groupOf(path, maxLarge)}`;
    const paths = groups.get(group);
    if (paths) paths.push(path);
    else groups.set(group, [path]);
  }
  return [...groups].sort(([a], [b]) => compare(a, b)).map(([, paths]) => ({ files: paths.sort(compare) }));
}

const groupOf = (path: string, groups: number): string =>
  String(createHash('sha256').update(path).digest().readUInt32BE() % groups).padStart(2, '0');

/** Takes a file's bytes as they pass by; `digest` and `size` are those of the layer that holds it alone. */
export type LayerHasher = {
  update(chunk: Uint8Array): void;
  digest(): { digest: Digest; size: number };
};

/** Digests the layer of one file while its bytes are read for something else, so that they are read once. */
export async function layerHasher(file: File): Promise<LayerHasher> {
  const segments = await tarSegments([file]);
  const at = segments.findIndex((segment) => !Buffer.isBuffer(segment));
  const hash = createHash('sha256');
  let taken = 0;
  for (const segment of at < 0 ? segments : segments.slice(0, at)) hash.update(segment as Buffer);
  return {
    update(chunk) {
      taken += chunk.length;
      hash.update(chunk);
    },
    digest() {
      if (taken !== file.size) throw shortOrLong(file, taken);
      for (const segment of at < 0 ? [] : segments.slice(at + 1)) hash.update(segment as Buffer);
      return { digest: digestOf(hash.digest('hex')), size: tarSize(segments) };
    },
  };
}

/** Digest and size of the layer that holds these files, each read once. Throws when a file is not as long as said. */
export async function digestLayer(files: readonly LayerFile[]): Promise<{ digest: Digest; size: number }> {
  const segments = await tarSegments(files);
  const hash = createHash('sha256');
  for await (const chunk of bytesFrom(segments, openerOf(files), 0)) hash.update(chunk);
  return { digest: digestOf(hash.digest('hex')), size: tarSize(segments) };
}

/**
 * A layer as a blob: an uncompressed tar with the files below `/app/model`. Opened at an offset, only what lies
 * behind it is read. Its stream fails when a file is not as long as said.
 */
export function layerBlob(layer: { digest: Digest; size: number }, files: readonly LayerFile[]): BlobSource {
  return {
    digest: layer.digest,
    size: layer.size,
    open: async (start) =>
      Readable.from(bytesFrom(await tarSegments(files), openerOf(files), start), { objectMode: false }),
  };
}

/**
 * The first layer of all weights: hides whatever the source image has at `/app/model`.
 * https://github.com/opencontainers/image-spec/blob/main/layer.md#opaque-whiteout
 */
export async function opaqueLayer(): Promise<BlobSource> {
  const files: LayerFile[] = [{ path: '.wh..wh..opq', size: 0, open: () => Readable.from([]) }];
  return layerBlob(await digestLayer(files), files);
}

const openerOf = (files: readonly LayerFile[]) => {
  const byPath = new Map(files.map((file) => [file.path, file]));
  return (path: string, start: number) => byPath.get(path)!.open(start);
};

async function* bytesFrom(
  segments: readonly Segment[],
  open: (path: string, start: number) => Promise<Readable> | Readable,
  start: number,
): AsyncGenerator<Buffer> {
  let skip = start;
  for (const segment of segments) {
    const length = lengthOf(segment);
    if (skip >= length) {
      skip -= length;
      continue;
    }
    if (Buffer.isBuffer(segment)) yield segment.subarray(skip);
    else {
      let taken = skip;
      for await (const chunk of (await open(segment.path, skip)) as AsyncIterable<Buffer>) {
        taken += chunk.length;
        if (taken > segment.size) break;
        yield chunk;
      }
      if (taken !== segment.size) throw shortOrLong(segment, taken);
    }
    skip = 0;
  }
}

const shortOrLong = ({ path, size }: File, taken: number): Error =>
  new Error(
    `reading "${path}": ${taken > size ? 'more' : `${taken}`} bytes instead of the ${size} it was indexed with`,
  );
