import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiClient } from '../api/client.js';
import { upload } from '../api/upload.js';
import type { ImageRef } from '../contract/names.js';
import type { PinnedArtifact } from '../contract/pipeline.js';
import type { Stack } from '../contract/stack.js';
import { ensureFiles, readIndex } from '../platform/archive/artifacts.js';
import type { ArtifactIndex } from '../platform/archive/index.js';
import { openCache, type Cache } from '../platform/cache.js';
import { appendWeights, planPush } from '../platform/images/append.js';
import type { Watch } from '../platform/images/index.js';
import { verifyPushed, withdraw } from '../platform/images/publish.js';
import { createRegistry } from '../platform/images/registry.js';
import { s3Storage } from '../platform/storage/s3.js';

const watch: Watch = { onProgress: () => undefined, signal: new AbortController().signal };

/** What `slipway upload` and the stages up to push do, with the running stack's own storage, cache and registry. */
export async function slipwayWay(stack: Stack, registryHost: string, model: string) {
  const client = new ApiClient(stack.api, stack.token);
  const storage = s3Storage(stack.s3);
  const { username, password } = stack.registry;
  const registry = createRegistry({ url: `http://${registryHost}`, username, password });
  const cache = await openCache(stack.cache);
  const repository = `slipway/${model}`;
  const uploaded: PinnedArtifact[] = [];
  const pushed: ImageRef[] = [];
  const seen = new Map<string, ArtifactIndex>();

  const push = async (artifact: PinnedArtifact, from: Cache): Promise<void> => {
    const index = await readIndex(storage, artifact);
    seen.set(artifact.index, index);
    const { missing } = await planPush(registry, repository, stack.base, index);
    const paths = missing.flatMap(({ files }) => files);
    await ensureFiles({ storage, cache: from, limits: stack.archives }, artifact, index, paths, watch);
    const digests = new Map(index.files.map(({ path, sha256 }) => [path, sha256]));
    const { image } = await appendWeights(
      registry,
      {
        repository,
        sourceImage: stack.base,
        index,
        open: (path, start) => from.open(digests.get(path)!, start),
      },
      watch,
    );
    await verifyPushed(registry, image, watch.signal);
    pushed.push(image);
  };

  return {
    /** Uploads a zip, which validates and indexes it. */
    upload: async (file: string, date: string): Promise<PinnedArtifact> => {
      const artifact = await upload(client, { model, kind: 'weights', file, date });
      uploaded.push(artifact);
      return artifact;
    },
    /** Pushes what is stored and indexed, on the machine that indexed it. */
    push: (artifact: PinnedArtifact) => push(artifact, cache),
    /** The same on a machine that never saw a byte of it. */
    pushElsewhere: async (artifact: PinnedArtifact): Promise<void> => {
      const path = await mkdtemp(join(tmpdir(), 'slipway-bench-cache-'));
      try {
        await push(artifact, await openCache({ path, maxBytes: stack.cache.maxBytes }));
      } finally {
        await rm(path, { recursive: true, force: true });
      }
    },
    /** Takes everything back; bytes of layers stay in the registry until it collects them. */
    clean: async (): Promise<void> => {
      await client.close();
      for (const image of pushed) await withdraw(registry, image);
      for (const { object, index } of uploaded) {
        const stored = await storage.stat(index);
        if (stored) await storage.remove(stored);
        await storage.remove(object);
      }
      for (const { files } of seen.values()) for (const { sha256 } of files) await cache.remove(sha256);
    },
  };
}
