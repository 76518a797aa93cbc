import { SlipwayError } from '../contract/errors.js';
import type { Grant, Release } from '../contract/pipeline.js';
import type { Strategy } from '../contract/strategy.js';
import { admitQueries } from './analysis/prometheus.js';
import { repositoryOf } from './images/repository.js';
import { keptReplicas, liveReplicas } from './live.js';
import { targetOf, type Platform } from './open.js';
import { admitPickle } from './pickle.js';
import type { ReplicaSet, Watch } from './targets/index.js';

/** A release that is yet to be made. */
export type Candidate = Pick<Release, 'id' | 'model' | 'spec' | 'target'> &
  Partial<Pick<Release, 'image' | 'repeats'>>;

/**
 * Finds out without changing anything whether a release could be rolled out so. Throws `InvalidInput`, `NotFound` or
 * `RolloutFailed` naming what is missing; answers warnings.
 */
export async function admitRollout(
  platform: Platform,
  grant: Grant,
  candidate: Candidate,
  strategy: Strategy,
  watch: Watch,
): Promise<string[]> {
  const { service } = grant;
  const target = targetOf(platform, candidate.target);
  const { id, model, spec, repeats } = candidate;
  // Going back is not held up by what only a new set would need.
  if (await keptReplicas(platform, service, candidate)) return [];
  admitPickle(platform, spec);
  const judged = repeats ? [] : await admitAnalysis(platform, candidate, strategy, watch.signal);
  // A release that is not made yet has no digest; this one at least exists.
  const image = candidate.image ?? {
    ...platform.stack.base,
    repository: repositoryOf(platform.stack.registry, model),
  };
  const set: ReplicaSet = { grant, release: id, model, image, spec, role: 'serve' };
  const live = await liveReplicas(platform, service, candidate);
  return [...(await target.admit({ set, strategy, live }, watch)), ...judged];
}

/** An analysis that could never hold is refused before the first step, not after it. */
async function admitAnalysis(
  platform: Platform,
  { spec }: Candidate,
  strategy: Strategy,
  signal: AbortSignal,
): Promise<string[]> {
  if (strategy.kind !== 'canary') return [];
  const { difference, prometheus } = strategy.analysis;
  if (difference !== undefined && !spec.verify.samples?.length)
    throw new SlipwayError(
      'InvalidInput',
      'strategy.analysis.difference: there are no verify.samples to compare the predictions on',
    );
  return prometheus ? await admitQueries(prometheus, platform.guarded, signal) : [];
}
