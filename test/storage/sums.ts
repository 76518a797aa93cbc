import { createHash } from 'node:crypto';
import { digestOf, type Digest } from '../../contract/names.js';

export const sha256 = (bytes: Buffer): Digest => digestOf(createHash('sha256').update(bytes).digest('hex'));
export const md5 = (bytes: Buffer, encoding: 'hex' | 'base64'): string =>
  createHash('md5').update(bytes).digest(encoding);
