import { CancellationScope } from '@temporalio/workflow';
import { parseDeployInput, type DeployInput } from '../contract/deploy.js';
import type { DeployResult } from '../contract/deployment.js';
import type { Grant, Pinned } from '../contract/pipeline.js';
import * as activities from './activities.js';
import { Deadline } from './deadline.js';
import { endingOf, refuse } from './failure.js';
import { Progress } from './progress.js';
import { keepFor, takeOver, type TakingOver } from './takeover.js';
import { takeBack } from './undo.js';

/**
 * Ships a model: upload → source download → model download → build → push → rollout → verify, then moves
 * the route. Whatever fails, is cancelled or runs late is taken back; what served before still serves.
 */
export async function deployModel(raw: unknown): Promise<DeployResult> {
  const input = refuse(() => parseDeployInput(raw));
  const progress = new Progress(input);
  const deadline = new Deadline(input.deadline);
  progress.onHold = (held) => deadline.hold(held);
  progress.steering.onAbort = () => deadline.cut();
  try {
    return await deadline.run(async () => {
      const grant = await progress.grant();
      deadline.begin();
      return await ship(input, grant, progress, deadline);
    });
  } catch (error) {
    const ending = endingOf(error, deadline.passed ? input.deadline : null, progress.steering.aborted);
    const { held } = progress;
    progress.failed(ending);
    // What is undone here must be undone whole, also when a second cancel arrives meanwhile.
    await CancellationScope.nonCancellable(async () => {
      if (held === null) return;
      await takeBack(held, progress);
      await activities.closeGrant(held, ending.outcome);
    });
    progress.ended(ending);
    throw ending.toThrow(progress.undone());
  }
}

type Input = DeployInput & { service: string };
/** What is known once an image can be rolled out: freshly made, or an earlier release's. */
type Candidate = TakingOver['candidate'];

async function ship(
  input: Input,
  grant: Grant,
  progress: Progress,
  deadline: Deadline,
): Promise<DeployResult> {
  const { candidate, replacing } = input.rollbackTo
    ? await recall(input, input.rollbackTo, grant, progress)
    : await make(input, grant, progress);
  progress.candidate(candidate);
  if (input.approval.required && !input.rollbackTo) await progress.approval(input.approval.deadline);

  const { replicas } = await progress.stage('rollout', () =>
    activities.rollout(grant, candidate, input.strategy),
  );
  const { verification } = await progress.stage('verify', () =>
    activities.verify(grant, candidate, replicas),
  );
  progress.verified(verification);
  // An earlier release has its name already; going back to it must not need the registry.
  if (!candidate.repeats)
    await progress.step('publishing the tag', () => activities.publishTag(grant, candidate));
  await takeOver(input, { grant, candidate, replicas, replacing }, progress);
  const { version } = await progress.step('moving the route', () =>
    activities.shift(grant, { ...candidate, verification }, replicas, keepFor(input)),
  );
  await progress.step('waiting for the gateways', () => activities.awaitGateways(version));

  deadline.commit();
  // From here on the new release is what serves: its effects are kept, and only the old one is cleared away.
  await CancellationScope.nonCancellable(async () => {
    await activities.closeGrant(grant, 'succeeded');
    await progress.step('draining the old replicas', () => activities.tidy(grant.service));
  });
  progress.succeeded();
  return { service: grant.service, release: candidate.id, image: candidate.image, verification };
}

/** The five stages that turn an upload into an image in the registry. */
async function make(
  input: Input,
  grant: Grant,
  progress: Progress,
): Promise<{ candidate: Candidate; replacing: boolean }> {
  const { target, strategy } = input;
  const pinned = await progress.stage('upload', async () => {
    const pinned = await activities.pin(input);
    // What cannot be rolled out is not worth building.
    const release = { id: progress.release, model: input.model, spec: pinned.spec, target };
    progress.warned(await activities.admit(grant, release, strategy));
    return pinned;
  });
  progress.pinned(pinned);
  await progress.stage('source-download', () => activities.downloadSource(pinned.source));
  await progress.stage('model-download', () => activities.downloadModel(pinned.weights));
  const source = await progress.stage('build', async () => {
    const built = await activities.buildSource(grant, pinned);
    if (needsSourceCheck(pinned)) await activities.checkSource(grant, pinned, built.image, target);
    return built;
  });
  const pushed = await progress.stage('push', () => activities.pushImage(grant, pinned, source.image));
  const candidate: Candidate = {
    id: progress.release,
    service: grant.service,
    model: input.model,
    token: grant.token,
    deployment: grant.deployment.workflowId,
    target,
    image: pushed.image,
    sourceImage: source.image,
    source: { digest: pinned.source.digest, name: pinned.source.name },
    weights: { digest: pinned.weights.digest, name: pinned.weights.name },
    recipe: pinned.spec.recipe,
    spec: pinned.spec,
  };
  return { candidate, replacing: pinned.live !== null };
}

/** A source that changed must load with the weights that are live, before new weights are added to it. */
function needsSourceCheck({ live, source, spec }: Pinned): boolean {
  return live !== null && spec.verify.sourceCheck && live.sourceDigest !== source.digest;
}

/** An earlier verified release, shipped again as it was: nothing is downloaded, built or pushed. */
async function recall(
  { strategy }: Input,
  to: string,
  grant: Grant,
  progress: Progress,
): Promise<{ candidate: Candidate; replacing: boolean }> {
  progress.skip('upload', 'source-download', 'model-download', 'build', 'push');
  const release = await progress.step(`recalling release "${to}"`, () =>
    activities.recallRelease(grant.service, to),
  );
  const candidate: Candidate = {
    ...release,
    id: progress.release,
    token: grant.token,
    deployment: grant.deployment.workflowId,
    repeats: release.id,
  };
  progress.warned(await activities.admit(grant, candidate, strategy));
  return { candidate, replacing: true };
}
