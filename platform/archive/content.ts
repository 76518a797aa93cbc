import { createHash } from 'node:crypto';
import { digestOf, type Digest } from '../../contract/names.js';

/**
 * Digest of what an archive holds: sha256 over `path NUL size NUL sha256 LF` of each file, sorted by the bytes of
 * the path. Packing the same files again, in another order or with other times, keeps it.
 */
export function contentDigest(files: { path: string; size: number; sha256: Digest }[]): Digest {
  const hash = createHash('sha256');
  for (const { path, size, sha256 } of files.toSorted((a, b) =>
    Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)),
  ))
    hash.update(`${path}\0${size}\0${sha256}\n`);
  return digestOf(hash.digest('hex'));
}
