import { pack, type Pack } from 'tar-stream';
import { serving } from '../../contract/serving.js';

/** What a tar is made of: headers and padding, which are known, and the bytes of files, which are read. */
export type Segment = Buffer | { path: string; size: number };

const block = 512;
/** Two empty blocks end a tar. https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_06 */
const end = Buffer.alloc(2 * block);
const root = serving.modelPath.slice(1);

/** Segments of the tar that holds these files below `/app/model`, folders first, all sorted by path. */
export async function tarSegments(files: readonly { path: string; size: number }[]): Promise<Segment[]> {
  const sorted = files.toSorted((a, b) => compare(a.path, b.path));
  const folders = new Set(sorted.flatMap(({ path }) => foldersOf(`${root}/${path}`)));
  const segments: Segment[] = [];
  for (const folder of [...folders].sort(compare)) segments.push(await header(`${folder}/`, 0, 'directory'));
  for (const { path, size } of sorted) {
    segments.push(await header(`${root}/${path}`, size, 'file'));
    if (size > 0) segments.push({ path, size });
    if (size % block > 0) segments.push(Buffer.alloc(block - (size % block)));
  }
  return [...segments, end];
}

/** Bytes of the whole tar. */
export const tarSize = (segments: readonly Segment[]): number =>
  segments.reduce((sum, segment) => sum + lengthOf(segment), 0);

export const lengthOf = (segment: Segment): number =>
  Buffer.isBuffer(segment) ? segment.length : segment.size;

/** By code units: the order must not depend on a locale. */
export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Owner, mode and time are the same for all, so that equal content is an equal layer. */
async function header(name: string, size: number, type: 'file' | 'directory'): Promise<Buffer> {
  const tar: Pack = pack();
  tar.entry({ name, size, type, mode: type === 'file' ? 0o644 : 0o755, mtime: new Date(0), uid: 0, gid: 0 });
  await new Promise<void>((resolve) => tar.once('readable', () => resolve()));
  const parts: Buffer[] = [];
  for (let part = read(tar); part !== null; part = read(tar)) parts.push(part);
  return Buffer.concat(parts);
}

const read = (tar: Pack): Buffer | null => tar.read() as Buffer | null;

/** `app/model/a/b` → `app`, `app/model`, `app/model/a` */
function foldersOf(path: string): string[] {
  const names = path.split('/').slice(0, -1);
  return names.map((_, at) => names.slice(0, at + 1).join('/'));
}
