import { createHash } from 'node:crypto';
import { digestOf, type Digest } from '../../contract/names.js';
import type { OnProgress } from '../../contract/pipeline.js';
import type { ArchiveLimits } from '../../contract/stack.js';
import type { Cache } from '../cache.js';
import { digestLayer, layerHasher, planLayers } from '../images/layers.js';
import { contentDigest } from './content.js';
import type { ArtifactIndex, IndexedFile, IndexedLayer } from './index.js';
import { refuseArchive } from './refuse.js';
import type { ArchiveSource } from './source.js';
import { Cursor, readLocalHeader, unpackEntry } from './unpack.js';
import { readDirectory, type ArchiveEntry } from './validate.js';

type Making = {
  source: ArchiveSource;
  cache: Cache;
  limits: ArchiveLimits;
  kind: 'source' | 'weights';
  /** sha256 of the whole archive as the uploader read it; checked. */
  archive?: Digest | undefined;
  onProgress: OnProgress;
  signal: AbortSignal;
};

/** Fixed part, name and extra fields in front of an entry's bytes. */
const longestHeader = 30 + 2 * 0xffff;

/**
 * Validates an archive and indexes it: its directory first, then all its bytes in one pass, front to back. Every
 * file is hashed, checked and left in the cache. Throws `InvalidInput` naming the entry that is wrong.
 */
export async function makeIndex(making: Making): Promise<ArtifactIndex> {
  const { source, cache, limits, archive } = making;
  const entries = await readDirectory(source, limits);
  const planned = making.kind === 'weights' ? planLayers(entries) : [];
  // Layers of several files are digested from the cache afterwards.
  const release: (() => void)[] = [];
  const last = entries.at(-1)!;
  const end = archive ? source.size : Math.min(source.size, last.headerOffset + longestHeader + last.packed);
  const stream = await source.open(0, end - 1);
  try {
    const alone = new Map<string, IndexedLayer>();
    const single = new Set(planned.flatMap(({ files }) => (files.length === 1 ? files : [])));
    const whole = archive && createHash('sha256');
    const bytes = watched(stream as AsyncIterable<Buffer>, making, (chunk) => whole?.update(chunk));
    const cursor = new Cursor(bytes, 0);
    const files: IndexedFile[] = [];
    for (const entry of entries) {
      const layer = single.has(entry.path) ? await layerHasher(entry) : undefined;
      files.push(await indexEntry(making, cursor, entry, (chunk) => layer?.update(chunk)));
      release.push(cache.lease([files.at(-1)!.sha256]));
      if (layer) alone.set(entry.path, { ...layer.digest(), files: [entry.path] });
    }
    if (archive && whole) {
      await cursor.skipTo(source.size);
      const got = digestOf(whole.digest('hex'));
      if (got !== archive) throw refuseArchive(source.name, `is ${got}, but ${archive} was announced`);
    }
    const layers: IndexedLayer[] = [];
    for (const layer of planned)
      layers.push(alone.get(layer.files[0]!) ?? (await digestFromCache(cache, layer, files)));
    return { format: 1, digest: contentDigest(files), ...(archive ? { archive } : {}), files, layers };
  } finally {
    stream.destroy();
    for (const give of release) give();
  }
}

async function indexEntry(
  { source, cache }: Making,
  cursor: Cursor,
  entry: ArchiveEntry,
  onChunk: (chunk: Buffer) => void,
): Promise<IndexedFile> {
  await readLocalHeader(source.name, cursor, entry);
  const offset = cursor.position;
  const writer = await cache.create();
  try {
    await unpackEntry(source.name, entry, cursor.bytes(entry.packed), async (chunk) => {
      const written = writer.write(chunk);
      onChunk(chunk);
      await written;
    });
  } catch (error) {
    await writer.discard();
    throw error;
  }
  await cursor.skipTo(offset + entry.packed);
  const { digest: sha256 } = await writer.commit();
  const { path, size, packed, method } = entry;
  return { path, size, sha256, offset, packed, method };
}

async function digestFromCache(
  cache: Cache,
  { files }: { files: string[] },
  indexed: IndexedFile[],
): Promise<IndexedLayer> {
  const byPath = new Map(indexed.map((file) => [file.path, file]));
  const parts = files.map((path) => byPath.get(path)!);
  const layer = await digestLayer(
    parts.map(({ path, size, sha256 }) => ({
      path,
      size,
      open: (start: number) => cache.open(sha256, start),
    })),
  );
  return { ...layer, files };
}

async function* watched(
  chunks: AsyncIterable<Buffer>,
  { source, onProgress, signal }: Making,
  onChunk: (chunk: Buffer) => void,
): AsyncGenerator<Buffer> {
  let done = 0;
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    onChunk(chunk);
    done += chunk.length;
    onProgress({ message: `indexing ${source.name}`, done, total: source.size, unit: 'bytes' });
    yield chunk;
  }
}
