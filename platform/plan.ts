import type { DeployInput } from '../contract/deploy.js';
import { SlipwayError } from '../contract/errors.js';
import type { OnProgress, Pinned, PinnedArtifact } from '../contract/pipeline.js';
import type { Plan } from '../contract/plan.js';
import { readIndex } from './archive/artifacts.js';
import type { ArtifactIndex } from './archive/index.js';
import { planPush } from './images/append.js';
import { repositoryOf } from './images/repository.js';
import { findSourceImage, sourceImageKey } from './images/source-image.js';
import type { Platform } from './open.js';
import { pinDeployment } from './pin.js';

/**
 * Finds out what a deployment would download, build, push and replace. Changes nothing that serves: a zip that
 * was never read is indexed, as a deployment would. Throws what the deployment would fail with at its start.
 */
export async function planDeployment(
  platform: Platform,
  input: DeployInput & { service: string },
  signal: AbortSignal = new AbortController().signal,
): Promise<Plan> {
  if (input.rollbackTo)
    throw new SlipwayError(
      'InvalidInput',
      'rollbackTo: a rollback downloads, builds and pushes nothing to plan',
    );
  const onProgress: OnProgress = () => undefined;
  const pinned = await pinDeployment(platform, input, { onProgress, signal });
  const sourceIndex = await readIndex(platform.storage, pinned.source);
  const weightsIndex = await readIndex(platform.storage, pinned.weights);
  const repository = repositoryOf(input.model);
  const sourceImage = await findSourceImage(platform.registry, repository, sourceImageKey(pinned));
  const push = await planPush(platform.registry, repository, sourceImage, weightsIndex);
  const unread = new Set(push.missing.flatMap(({ files }) => files));
  return {
    model: input.model,
    service: input.service,
    source: await artifact(platform, pinned.source, sourceIndex, () => true),
    weights: await artifact(platform, pinned.weights, weightsIndex, (path) => unread.has(path)),
    recipe: pinned.spec.recipe,
    recipeReason: pinned.recipeReason,
    build: sourceImage
      ? { needed: false, reason: `source image ${sourceImage.digest} is in the registry` }
      : { needed: true, reason: 'no source image of this base, source and requirements is in the registry' },
    push: { layers: push.layers, missing: push.missing.length, bytes: push.bytes },
    rollout: {
      replicas: pinned.spec.replicas,
      nodes: platform.stack.nodes.map(({ name }) => name),
      replaces: pinned.live?.id ?? null,
    },
    verify: { samples: pinned.spec.verify.samples?.length ?? 0 },
    warnings: warnings(pinned),
  };
}

async function artifact(
  { cache }: Platform,
  { name, digest, files, bytes }: PinnedArtifact,
  index: ArtifactIndex,
  needed: (path: string) => boolean,
): Promise<Plan['source']> {
  const wanted = index.files.filter(({ path }) => needed(path));
  const cached = await Promise.all(wanted.map(({ sha256 }) => cache.has(sha256)));
  const download = wanted.reduce((sum, { packed }, at) => sum + (cached[at] ? 0 : packed), 0);
  return { name, digest, files, bytes, download };
}

function warnings({ spec }: Pinned): string[] {
  return spec.verify.samples?.length
    ? []
    : ['verify.samples: there are none, so that being ready is all a new release has to prove'];
}
