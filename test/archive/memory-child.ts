import { ensureFiles, readIndex, resolveArtifact } from '../../platform/archive/artifacts.js';
import { openCache } from '../../platform/cache.js';
import { ArchiveLimits } from '../../contract/stack.js';
import { s3Storage } from '../../platform/storage/s3.js';
import { tellMemory } from '../support/memory.js';

/** Indexes, then downloads, the weights of `iris`. */
const cache = await openCache({ path: process.env['CACHE']!, maxBytes: 2 ** 40 });
const storage = s3Storage(JSON.parse(process.env['STORE']!));
const deps = { storage, cache, limits: ArchiveLimits.parse({}) };
const watch = { signal: new AbortController().signal, onProgress: () => undefined };
await tellMemory(async () => {
  const artifact = await resolveArtifact(deps, { model: 'iris', kind: 'weights', name: 'latest' }, watch);
  const index = await readIndex(storage, artifact);
  for (const { sha256 } of index.files) await cache.remove(sha256);
  const { bytes } = await ensureFiles(
    deps,
    artifact,
    index,
    index.files.map(({ path }) => path),
    watch,
  );
  return bytes;
});
