import { milliseconds } from '../contract/quantities.js';
import type { Canary, CanaryStep } from '../contract/strategy.js';
import * as activities from './activities.js';
import { cutShort } from './cut-short.js';
import type { Progress } from './progress.js';
import type { Turn } from './steering.js';
import type { TakingOver } from './takeover.js';

/** Gives a new release more and more of the traffic, step by step, each judged while it lasts and at its end. */
export async function climb(
  strategy: Canary,
  { grant, candidate, replicas }: TakingOver,
  progress: Progress,
): Promise<void> {
  const { steps } = strategy;
  for (const [i, step] of steps.entries()) {
    const { weight } = step;
    const name = `canary step ${i + 1} of ${steps.length}: ${weight} %`;
    await progress.untilResumed(`paused before ${name}`);
    const turn = progress.beginStep({ step: i + 1, steps: steps.length, weight, paused: false });
    progress.duringStep(`${name}, on its way`, false);
    const baseline = await activities.share(grant, candidate, replicas, strategy, weight);
    await last(step, turn, name, progress, (until) =>
      activities.analyse(grant, candidate, replicas, strategy, { weight, baseline, until }),
    );
    progress.endStep();
  }
}

/**
 * Returns when a step's time is over and it was judged to hold, or somebody has skipped it. While it is paused its
 * time stands still and it has no end; it is judged all the same. Throws what the judgement throws.
 */
async function last(
  step: CanaryStep,
  turn: Turn,
  name: string,
  progress: Progress,
  analyse: (until: number | null) => Promise<void>,
): Promise<void> {
  const { steering } = progress;
  const waiting = (): boolean => step.pause === true && !turn.released;
  const held = (): boolean => steering.paused || waiting();
  let left = step.for === undefined ? 0 : milliseconds(step.for);
  while (!turn.skipped) {
    const still = held();
    progress.duringStep(
      waiting()
        ? `${name}, waiting to be resumed`
        : still
          ? `${name}, paused`
          : name + (step.for ? ` for ${step.for}` : ''),
      still,
    );
    const began = Date.now();
    const judged = await cutShort(
      () => turn.skipped || held() !== still,
      () => analyse(still ? null : began + left),
    );
    if (judged && !still) return;
    if (!still) left = Math.max(0, left - (Date.now() - began));
  }
}
