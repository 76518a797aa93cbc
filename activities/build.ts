import { messageOf, SlipwayError } from '../contract/errors.js';
import type { Digest, ImageRef } from '../contract/names.js';
import type { Grant, Pinned } from '../contract/pipeline.js';
import { ensureFiles, readIndex } from '../platform/archive/artifacts.js';
import { openBuildLog, type BuildLog } from '../platform/images/build-log.js';
import { repositoryOf } from '../platform/images/repository.js';
import {
  buildSecrets,
  buildSourceImage,
  cleanupBuild,
  findSourceImage,
  sourceImageKey,
  temporaryTag,
} from '../platform/images/source-image.js';
import type { Platform } from '../platform/open.js';
import { sourcePaths } from '../platform/recipes/layout.js';
import { attend, type Watch } from './attend.js';
import { perform } from './journal.js';
import { turns } from './turns.js';

/** Builds at the same time on one worker, none of them twice. */
const inTurn = turns(2);

/** Build: base, requirements and source become the source image, once per content. Weights have no part in it. */
export const buildActivities = (platform: Platform) => ({
  buildSource: (grant: Grant, pinned: Pinned): Promise<{ image: ImageRef; detail: string }> =>
    attend(async (watch) => {
      const key = sourceImageKey(pinned);
      const found = (): Promise<ImageRef | null> =>
        findSourceImage(platform.registry, repositoryOf(platform.stack.registry, pinned.source.model), key);
      const unchanged = (image: ImageRef) => ({ image, detail: 'unchanged, nothing built' });
      const known = await found();
      if (known) return unchanged(known);
      watch.onProgress({ message: 'waiting for a free builder' });
      return await inTurn(key, watch.signal, async () => {
        // Another deployment of the same source may have built it meanwhile.
        const made = await found();
        if (made) return unchanged(made);
        const image = await logged(platform, grant, pinned, key, watch);
        return { image, detail: `built ${image.digest.slice(0, 19)}` };
      });
    }),
});

/** Builds with a log that is kept with the deployment, also when the build fails. */
async function logged(
  platform: Platform,
  grant: Grant,
  pinned: Pinned,
  key: Digest,
  watch: Watch,
): Promise<ImageRef> {
  const { storage, stack } = platform;
  const log = await openBuildLog(storage, grant.deployment, buildSecrets(stack.build));
  try {
    return await build(platform, grant, pinned, key, log, watch);
  } catch (error) {
    log.line(messageOf(error));
    throw error;
  } finally {
    await log.close();
  }
}

async function build(
  { stack, catalog, builder: docker, registry, storage, cache }: Platform,
  grant: Grant,
  pinned: Pinned,
  key: Digest,
  log: BuildLog,
  watch: Watch,
): Promise<ImageRef> {
  const { source } = pinned;
  if (docker === null)
    throw new SlipwayError(
      'BuildFailed',
      `the source of "${source.model}" has to be built, and this installation has no engine to build with; ` +
        'name one in "docker" of the stack file ("builder.docker" of the chart), as tcp://host:port',
    );
  const index = await readIndex(storage, source);
  const release = cache.lease(index.files.map(({ sha256 }) => sha256));
  try {
    // This worker may not be the one that downloaded them.
    const paths = index.files.map(({ path }) => path);
    await ensureFiles({ storage, cache, limits: stack.archives }, source, index, paths, watch);
    const files = new Map([...sourcePaths(index)].map(([path, { sha256 }]) => [path, cache.pathOf(sha256)]));
    const node = stack.nodes.find((it) => it.docker === stack.docker) ??
      stack.nodes[0] ?? {
        name: 'builder',
        registry: stack.dockerRegistry ?? new URL(stack.registry.url).host,
      };
    const tag = temporaryTag(stack.name, grant);
    return await perform(
      catalog,
      grant,
      { kind: 'build', key: `build:${tag}`, node: node.name, tag },
      () =>
        buildSourceImage(
          {
            docker,
            registry,
            engineRegistry: node.registry,
            credentials: stack.registry,
            build: stack.build,
            log,
          },
          { ...pinned, repository: repositoryOf(stack.registry, source.model), key, files, tag },
          watch,
        ),
      () => cleanupBuild(docker, tag),
    );
  } finally {
    release();
  }
}
