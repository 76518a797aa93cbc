import type { DeployInput } from '../contract/deploy.js';
import type { Grant, Release, Replica } from '../contract/pipeline.js';
import { milliseconds } from '../contract/quantities.js';
import * as activities from './activities.js';
import type { Progress } from './progress.js';

type Candidate = Omit<Release, 'verification' | 'createdAt'>;

/** Verified replicas take over from the live ones the way the strategy says; one gone back to takes over at once. */
export async function takeOver(
  { strategy }: DeployInput,
  grant: Grant,
  candidate: Candidate,
  replicas: Replica[],
  progress: Progress,
): Promise<void> {
  if (strategy.kind === 'rolling' && !candidate.repeats)
    await progress.step('replacing replicas', () => activities.roll(grant, candidate, replicas, strategy));
  await progress.step('taking over', () => activities.promote(grant, candidate, replicas, strategy));
}

/** Milliseconds that what served before stays. */
export const keepFor = ({ strategy }: DeployInput): number =>
  strategy.kind === 'blueGreen' ? milliseconds(strategy.keep) : 0;
