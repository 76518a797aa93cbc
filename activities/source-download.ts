import type { PinnedArtifact } from '../contract/pipeline.js';
import { humanBytes } from '../contract/quantities.js';
import { ensureFiles, readIndex } from '../platform/archive/artifacts.js';
import type { Platform } from '../platform/open.js';
import { attend } from './attend.js';

/** Source download: the source bundle's files come into the content-addressed cache, verified. */
export const sourceDownloadActivities = (platform: Platform) => ({
  downloadSource: (source: PinnedArtifact): Promise<{ detail: string }> =>
    attend(async (watch) => {
      const { storage, cache, stack } = platform;
      const index = await readIndex(storage, source);
      const paths = index.files.map(({ path }) => path);
      const { bytes } = await ensureFiles(
        { storage, cache, limits: stack.archives },
        source,
        index,
        paths,
        watch,
      );
      return {
        detail:
          bytes === 0 ? `${paths.length} files, in the cache` : `${paths.length} files, ${humanBytes(bytes)}`,
      };
    }),
});
