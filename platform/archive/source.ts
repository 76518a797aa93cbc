import type { Readable } from 'node:stream';
import type { ObjectVersion } from '../../contract/pipeline.js';
import type { Storage } from '../storage/index.js';

/** Bytes of an archive wherever it lies; `end` is inclusive. A stream that `open` gives ends complete or fails. */
export type ArchiveSource = {
  /** What errors call it: its storage key or path. */
  name: string;
  size: number;
  open: (start: number, end: number) => Promise<Readable>;
};

/** An archive in storage, read over the network in ranges of exactly this version. */
export const storedArchive = (
  storage: Storage,
  object: ObjectVersion,
  signal?: AbortSignal,
): ArchiveSource => ({
  name: object.key,
  size: object.size,
  open: (start, end) => storage.read(object, { start, end }, signal),
});
