import type { DeployInput } from '../contract/deploy.js';
import { SlipwayError } from '../contract/errors.js';
import { releaseId } from '../contract/names.js';
import type { OnProgress, Pinned, PinnedArtifact } from '../contract/pipeline.js';
import { describeStrategy, replicasOf, type Strategy } from '../contract/strategy.js';
import type { Plan } from '../contract/plan.js';
import { readIndex } from './archive/artifacts.js';
import type { ArtifactIndex } from './archive/index.js';
import { planPush } from './images/append.js';
import { repositoryOf } from './images/repository.js';
import { findSourceImage, sourceImageKey } from './images/source-image.js';
import { targetOf, type Platform } from './open.js';
import { pinDeployment } from './pin.js';
import { admitRollout } from './preflight.js';
import type { Watch } from './targets/index.js';

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
  const watch = { onProgress, signal };
  const pinned = await pinDeployment(platform, input, watch);
  const sourceIndex = await readIndex(platform.storage, pinned.source);
  const weightsIndex = await readIndex(platform.storage, pinned.weights);
  const repository = repositoryOf(platform.stack.registry, input.model);
  const sourceImage = await findSourceImage(platform.registry, repository, sourceImageKey(pinned));
  const push = await planPush(platform.registry, repository, sourceImage, weightsIndex);
  const { rollout, noticed } = await planRollout(platform, input, pinned, watch);
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
    rollout,
    verify: {
      samples: pinned.spec.verify.samples?.length ?? 0,
      startupBudget: pinned.spec.verify.startupBudget,
    },
    warnings: [...warnings(pinned), ...noticed],
  };
}

/** Where and how the new release would be rolled out, and what is noticed of that beforehand. */
async function planRollout(
  platform: Platform,
  { service, model, target: kind, strategy }: DeployInput & { service: string },
  { spec, live }: Pinned,
  watch: Watch,
): Promise<{ rollout: Plan['rollout']; noticed: string[] }> {
  const record = await platform.catalog.getService(service);
  const token = (record?.token ?? 0) + 1;
  const grant = { service, token, deployment: { workflowId: 'plan', runId: 'plan' } };
  const candidate = { id: releaseId(service, token), model, spec, target: kind };
  const noticed = await admitRollout(platform, grant, candidate, strategy, watch);
  const release = live && (await platform.catalog.getRelease(live.id));
  const beside = release?.target === kind ? release.spec.replicas : 0;
  const nodes = targetOf(platform, kind)
    .place({ ...candidate, grant, release: candidate.id, image: platform.stack.base, role: 'serve' })
    .map(({ node }) => node);
  return {
    noticed,
    rollout: {
      target: kind,
      strategy: live ? describeStrategy(strategy) : 'at once: the service is new',
      replicas: spec.replicas,
      atMost: beside + newBeside(kind, strategy, spec.replicas, beside),
      nodes: [...new Set(nodes)],
      replaces: live?.id ?? null,
    },
  };
}

/** New replicas that stand beside all of the old ones: only a roll on Kubernetes replaces them one by one. */
function newBeside(kind: DeployInput['target'], strategy: Strategy, replicas: number, live: number): number {
  if (kind === 'docker' || strategy.kind !== 'rolling' || live === 0) return replicas;
  return Math.min(replicas, Math.max(1, replicasOf(strategy.maxSurge, replicas, 'up')));
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
