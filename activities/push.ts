import type { ImageRef } from '../contract/names.js';
import type { Grant, Pinned } from '../contract/pipeline.js';
import { humanBytes } from '../contract/quantities.js';
import { ensureFiles, readIndex } from '../platform/archive/artifacts.js';
import { appendWeights, planPush } from '../platform/images/append.js';
import { putTag, tagOf, verifyPushed } from '../platform/images/publish.js';
import { repositoryOf } from '../platform/images/repository.js';
import type { Platform } from '../platform/open.js';
import { withdrawUnlessNamed } from '../platform/retention.js';
import { attend } from './attend.js';
import { perform } from './journal.js';
import { journaledManifest } from './manifest.js';

/**
 * Push: the weights are appended to the source image in the registry, as layers of their own, and the whole is
 * read back. It has no name yet: the tag comes after verification.
 */
export const pushActivities = (platform: Platform) => ({
  pushImage: (
    grant: Grant,
    pinned: Pinned,
    sourceImage: ImageRef,
  ): Promise<{ image: ImageRef; detail: string }> =>
    attend(async (watch) => {
      const { storage, cache, stack, registry } = platform;
      const repository = repositoryOf(stack.registry, pinned.weights.model);
      const index = await readIndex(storage, pinned.weights);
      const { missing } = await planPush(registry, repository, sourceImage, index);
      const paths = missing.flatMap(({ files }) => files);
      const digests = new Map(index.files.map(({ path, sha256 }) => [path, sha256]));
      const release = cache.lease(paths.map((path) => digests.get(path)!));
      try {
        // The download stage may have run on another worker, or its files may have been evicted since.
        await ensureFiles({ storage, cache, limits: stack.archives }, pinned.weights, index, paths, watch);
        const { image, sent, layers } = await appendWeights(
          registry,
          {
            repository,
            sourceImage,
            index,
            open: async (path, start) => await cache.open(digests.get(path)!, start),
            putManifest: journaledManifest(platform, grant),
          },
          watch,
        );
        await verifyPushed(registry, image, watch.signal);
        return {
          image,
          detail: `${layers} layers, ${sent.layers} of them sent, ${humanBytes(sent.bytes)}`,
        };
      } finally {
        release();
      }
    }),

  /** Names a verified image, so that the registry's own tools find it. */
  publishTag: (grant: Grant, { image, weights }: Named): Promise<void> =>
    attend(async () => {
      const { registry, catalog } = platform;
      const tag = tagOf(image, weights.name);
      await perform(
        catalog,
        grant,
        { kind: 'tag', key: `tag:${tag}`, tag, ...image },
        () => putTag(registry, image, tag),
        () => withdrawUnlessNamed(platform, grant, image),
      );
    }),
});

type Named = { image: ImageRef; weights: { name: string } };
