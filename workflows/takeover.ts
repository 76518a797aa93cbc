import type { DeployInput } from '../contract/deploy.js';
import type { Grant, Release, Replica } from '../contract/pipeline.js';
import { milliseconds } from '../contract/quantities.js';
import * as activities from './activities.js';
import { climb } from './canary.js';
import { cutShort } from './cut-short.js';
import type { Progress } from './progress.js';

/** Verified replicas on their way to the traffic. */
export type TakingOver = {
  grant: Grant;
  candidate: Omit<Release, 'verification' | 'createdAt'>;
  replicas: Replica[];
  /** Is there a release that has the traffic? */
  replacing: boolean;
};

/**
 * Verified replicas take over from the live ones the way the strategy says. A first release has nobody to share with,
 * and one gone back to has proven itself: they take over without a step to pause or to be judged in.
 */
export async function takeOver(
  { strategy }: DeployInput,
  takingOver: TakingOver,
  progress: Progress,
): Promise<void> {
  const { grant, candidate, replicas, replacing } = takingOver;
  const gradually = replacing && candidate.repeats === undefined;
  if (gradually && strategy.kind === 'rolling')
    await pausable('replacing replicas', progress, () =>
      activities.roll(grant, candidate, replicas, strategy),
    );
  if (gradually && strategy.kind === 'canary') await climb(strategy, takingOver, progress);
  await progress.untilResumed('paused before all of the traffic moves');
  const notes = await progress.step('taking over', () =>
    activities.promote(grant, candidate, replicas, strategy),
  );
  // Deployments that began before it answered any have none.
  progress.warned(notes ?? []);
}

/** Runs work that goes on where it was when it is run again; a pause stops it in the middle. */
async function pausable(what: string, progress: Progress, work: () => Promise<unknown>): Promise<void> {
  const { steering } = progress;
  do await progress.untilResumed(`paused while ${what}`);
  while (!(await progress.step(what, () => cutShort(() => steering.paused, work))));
}

/** Milliseconds that what served before stays. */
export const keepFor = ({ strategy }: DeployInput): number =>
  strategy.kind === 'blueGreen' ? milliseconds(strategy.keep) : 0;
