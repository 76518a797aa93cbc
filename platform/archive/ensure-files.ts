import pLimit from 'p-limit';
import { SlipwayError } from '../../contract/errors.js';
import type { PinnedArtifact } from '../../contract/pipeline.js';
import { DigestMismatchError, type Cache, type CacheWriter } from '../cache.js';
import type { ArchiveDeps, Watch } from './artifacts.js';
import type { ArtifactIndex, IndexedFile } from './index.js';
import { storedArchive, type ArchiveSource } from './source.js';
import { Cursor, unpackEntry } from './unpack.js';

/** Files read at once; more would only compete for the disk. */
const concurrency = 3;
/** Small files that lie close together come with one read. */
const smallBytes = 1 << 20;
const gapBytes = 64 << 10;
const runBytes = 16 << 20;

/**
 * Brings files of a pinned artifact into the cache: of the archive, only their bytes are read, resumed at the
 * byte where a connection is cut, unpacked, and verified against the index. What is in the cache is not read.
 * Answers the bytes read. Throws `InvalidInput` naming the file whose bytes are not the indexed ones, twice.
 */
export async function ensureFiles(
  { storage, cache }: ArchiveDeps,
  artifact: PinnedArtifact,
  index: ArtifactIndex,
  paths: string[],
  { onProgress, signal }: Watch,
): Promise<{ bytes: number }> {
  const wanted = chosen(artifact, index, paths);
  const release = cache.lease(wanted.map(({ sha256 }) => sha256));
  const stop = new AbortController();
  const until = AbortSignal.any([signal, stop.signal]);
  try {
    const missing: IndexedFile[] = [];
    for (const file of wanted) if (!(await cache.has(file.sha256))) missing.push(file);
    const total = missing.reduce((sum, { packed }) => sum + packed, 0);
    const { key } = artifact.object;
    let done = 0;
    const read = (bytes: number) => {
      until.throwIfAborted();
      done += bytes;
      onProgress({ message: `downloading ${key}`, done: Math.min(done, total), total, unit: 'bytes' });
    };
    const source = storedArchive(storage, artifact.object, until);
    const limit = pLimit(concurrency);
    // The first failure stops the others, and they have to have stopped before anything is tried again.
    const settled = await Promise.allSettled(
      runs(missing).map((run) =>
        limit(async () => {
          until.throwIfAborted();
          await bringRun({ source, cache, read }, run).catch((error: unknown) => {
            stop.abort(error);
            throw error;
          });
        }),
      ),
    );
    signal.throwIfAborted();
    if (settled.some(({ status }) => status === 'rejected')) throw stop.signal.reason;
    return { bytes: done };
  } finally {
    release();
  }
}

type Bringing = { source: ArchiveSource; cache: Cache; read: (bytes: number) => void };

/** Files of the index by path, each content once. Throws `InvalidInput` for a path that is not in it. */
function chosen(artifact: PinnedArtifact, index: ArtifactIndex, paths: string[]): IndexedFile[] {
  const byPath = new Map(index.files.map((file) => [file.path, file]));
  const byDigest = new Map<string, IndexedFile>();
  for (const path of paths) {
    const file = byPath.get(path);
    if (!file)
      throw new SlipwayError('InvalidInput', `reading "${path}" of "${artifact.object.key}": no such file`);
    byDigest.set(file.sha256, file);
  }
  return [...byDigest.values()];
}

/** Files to be read together. */
function runs(files: IndexedFile[]): IndexedFile[][] {
  const made: IndexedFile[][] = [];
  for (const file of files.toSorted((a, b) => a.offset - b.offset)) {
    const run = made.at(-1);
    const first = run?.[0];
    const previous = run?.at(-1);
    const joins =
      first !== undefined &&
      previous !== undefined &&
      previous.packed < smallBytes &&
      file.packed < smallBytes &&
      file.offset - (previous.offset + previous.packed) < gapBytes &&
      file.offset + file.packed - first.offset < runBytes;
    if (joins) run!.push(file);
    else made.push([file]);
  }
  return made;
}

async function bringRun(bringing: Bringing, run: IndexedFile[]): Promise<void> {
  try {
    await readRun(bringing, run);
  } catch (error) {
    if (
      !(error instanceof DigestMismatchError) &&
      !(error instanceof SlipwayError && error.type === 'InvalidInput')
    )
      throw error;
    // What was kept of an earlier attempt, or came over the network, was damaged: once more from the start.
    await readRun(bringing, run).catch((again: unknown) => {
      if (!(again instanceof DigestMismatchError)) throw again;
      const file = run.find(({ sha256 }) => sha256 === again.expected)!;
      throw new SlipwayError(
        'InvalidInput',
        `reading "${file.path}" of "${bringing.source.name}": ${again.message}`,
        { entry: file.path },
        { cause: again },
      );
    });
  }
}

async function readRun(bringing: Bringing, run: IndexedFile[]): Promise<void> {
  const { source, cache } = bringing;
  const [first, last] = [run[0]!, run.at(-1)!];
  if (run.length === 1 && first.method === 'stored') return await readStored(bringing, first);
  const end = last.offset + last.packed - 1;
  const stream = await source.open(first.offset, end);
  try {
    const cursor = new Cursor(stream as AsyncIterable<Buffer>, first.offset);
    for (const file of run) {
      await cursor.skipTo(file.offset);
      const writer = await cache.create();
      await filling(writer, () => unpack(bringing, file, cursor.bytes(file.packed), writer), 'discard');
      await writer.commit(file.sha256);
      await cursor.skipTo(file.offset + file.packed);
    }
  } finally {
    stream.destroy();
  }
}

/** Stored bytes are the file's own, so that a later attempt, in another process too, goes on where this one was cut. */
async function readStored(bringing: Bringing, file: IndexedFile): Promise<void> {
  const writer = await bringing.cache.resume(file.sha256);
  if (writer.length > file.size) {
    await writer.discard();
    return await readStored(bringing, file);
  }
  await filling(
    writer,
    async () => {
      const at = file.offset + writer.length;
      const rest = { ...file, size: file.size - writer.length, packed: file.packed - writer.length };
      if (rest.size === 0) return;
      const stream = await bringing.source.open(at, file.offset + file.packed - 1);
      await unpack(bringing, rest, stream as AsyncIterable<Buffer>, writer);
    },
    'keep',
  );
  await writer.commit(file.sha256);
}

async function unpack(
  { source, read }: Bringing,
  file: IndexedFile,
  packed: AsyncIterable<Buffer>,
  writer: CacheWriter,
): Promise<void> {
  await unpackEntry(source.name, file, counted(packed, read), (chunk) => writer.write(chunk));
}

async function* counted(
  chunks: AsyncIterable<Buffer>,
  read: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    read(chunk.length);
    yield chunk;
  }
}

/** Ends a writer that could not be filled; a full disk gets its space back whatever was to be kept. */
async function filling(
  writer: CacheWriter,
  fill: () => Promise<void>,
  otherwise: 'keep' | 'discard',
): Promise<void> {
  try {
    await fill();
  } catch (error) {
    if (otherwise === 'discard' || (error as NodeJS.ErrnoException).code === 'ENOSPC') await writer.discard();
    else await writer.keep();
    throw error;
  }
}
