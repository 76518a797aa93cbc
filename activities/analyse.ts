import { setTimeout as delay } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { SlipwayError } from '../contract/errors.js';
import type { Grant, Replica } from '../contract/pipeline.js';
import { milliseconds } from '../contract/quantities.js';
import type { Canary } from '../contract/strategy.js';
import { openJudge, type Look } from '../platform/analysis/judge.js';
import type { Measurement } from '../platform/analysis/measurement.js';
import type { Platform } from '../platform/open.js';
import { attend } from './attend.js';
import type { Candidate } from './rollout.js';
import type { Baseline } from './takeover.js';

/** A canary step: its share of the traffic, what had been counted when it began, and when it ends. */
export type Step = {
  weight: number;
  baseline: Baseline;
  /** Milliseconds since 1970 by the workflow's clock; null while the step is paused: then it has no end. */
  until: number | null;
};

/** Milliseconds between two looks, and between two looks for what is missing at the end. */
const interval = 2_000;
const impatience = 500;

/** Analysis: a canary is judged for as long as its step lasts, and once more at its end. */
export const analyseActivities = (platform: Platform) => ({
  /**
   * Returns when the step's time is over and everything held. Throws `VerificationFailed` as soon as something did
   * not, and when something is still not measured once the analysis' patience is over.
   */
  analyse: (
    grant: Grant,
    { id, spec }: Candidate,
    replicas: Replica[],
    { analysis }: Canary,
    { weight, baseline, until }: Step,
  ): Promise<void> =>
    attend(async ({ onProgress, signal }) => {
      const patience = milliseconds(analysis.patience);
      const now = serverClock();
      const samples = spec.verify.samples ?? [];
      const subject = { service: grant.service, replicas, samples, baseline };
      const look = openJudge(platform, analysis, subject);
      for (;;) {
        const left = until === null ? Infinity : until - now();
        const over = left <= 0;
        const seen = await look(over, signal);
        refuseFailed(seen, id, weight);
        if (over && isWhole(seen)) return;
        if (-left >= patience) refuseMissing(seen, id, weight, analysis.patience);
        onProgress({ message: `canary ${weight} %: ${seen.summary}, ${timeLeft(left, seen)}` });
        await delay(over ? impatience : Math.min(interval, left), undefined, { signal });
      }
    }),
});

/**
 * The workflow's clock is the server's; a worker's own may differ. An attempt reads it once, when it was scheduled, and
 * from there counts itself.
 */
function serverClock(): () => number {
  const { currentAttemptScheduledTimestampMs } = Context.current().info;
  const began = performance.now();
  return () => currentAttemptScheduledTimestampMs + performance.now() - began;
}

const isMissing = (it: Measurement) => it.verdict === 'missing';
const isWhole = ({ measurements }: Look): boolean => !measurements.some(isMissing);

function refuseFailed({ measurements, summary }: Look, release: string, weight: number): void {
  const failed = measurements.find(({ verdict }) => verdict === 'failed');
  if (failed?.verdict !== 'failed') return;
  const { check, measured, wanted } = failed;
  throw new SlipwayError(
    'VerificationFailed',
    `release "${release}" with ${weight} % of the traffic: ${check}: ${measured}, wanted ${wanted}; ${summary}`,
    { check, measured, wanted, release },
  );
}

function refuseMissing({ measurements }: Look, release: string, weight: number, patience: string): void {
  const missing = measurements.find(isMissing);
  if (missing?.verdict !== 'missing') return;
  const { check, why, wanted } = missing;
  throw new SlipwayError(
    'VerificationFailed',
    `release "${release}" with ${weight} % of the traffic: ${check}: no measurement: ${why}, ${patience} after the step's time`,
    { check, measured: null, wanted, release },
  );
}

/** `3m left`; at the end, what is still waited for. */
function timeLeft(left: number, { measurements }: Look): string {
  if (left === Infinity) return 'until resumed';
  if (left > 0)
    return left > 90_000 ? `${Math.round(left / 60_000)}m left` : `${Math.ceil(left / 1_000)}s left`;
  const missing = measurements.find(isMissing);
  return missing?.verdict === 'missing' ? `waiting for ${missing.check}: ${missing.why}` : 'judged';
}
