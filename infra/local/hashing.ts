import { createHash } from 'node:crypto';
import { Transform } from 'node:stream';
import { digestOf, type Digest } from '../../contract/names.js';

/** Passes bytes on; tells their digest and number at the end. */
export function hashing(): { stream: Transform; digest: () => Digest; size: () => number } {
  const hash = createHash('sha256');
  let size = 0;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      hash.update(chunk);
      size += chunk.length;
      next(null, chunk);
    },
  });
  return { stream, digest: () => digestOf(hash.digest('hex')), size: () => size };
}
