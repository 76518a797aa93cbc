import type { PinnedArtifact } from '../contract/pipeline.js';
import { humanBytes } from '../contract/quantities.js';
import { ensureFiles, readIndex } from '../platform/archive/artifacts.js';
import { planPush } from '../platform/images/append.js';
import { repositoryOf } from '../platform/images/repository.js';
import type { Platform } from '../platform/open.js';
import { attend } from './attend.js';

/**
 * Model download: of the weights, only the files whose layers the registry lacks come into the cache, verified
 * against the index. What did not change since an earlier push stays unread.
 */
export const modelDownloadActivities = (platform: Platform) => ({
  downloadModel: (weights: PinnedArtifact): Promise<{ detail: string }> =>
    attend(async (watch) => {
      const { storage, cache, stack, registry } = platform;
      const index = await readIndex(storage, weights);
      const { missing } = await planPush(registry, repositoryOf(stack.registry, weights.model), null, index);
      const paths = missing.flatMap(({ files }) => files);
      const { bytes } = await ensureFiles(
        { storage, cache, limits: stack.archives },
        weights,
        index,
        paths,
        watch,
      );
      return {
        detail:
          missing.length === 0
            ? `${index.layers.length} layers in the registry already`
            : `${paths.length} of ${index.files.length} files, ${humanBytes(bytes)} read`,
      };
    }),
});
