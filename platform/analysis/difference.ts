import type { Sample } from '../../contract/deploy.js';
import { messageOf } from '../../contract/errors.js';
import { largestDifference } from '../verify/compare.js';
import { predict } from '../verify/samples.js';
import type { Measurement } from './measurement.js';

/** Longest a replica may take to answer a sample here, in milliseconds. */
const timeout = 30_000;

/** Puts every sample to both releases and measures how far apart their predictions are at most. */
export async function judgeDifference(
  max: number,
  samples: Sample[],
  urls: { canary: string | undefined; live: string | undefined },
  signal: AbortSignal,
): Promise<Measurement> {
  const check = 'difference from the live release';
  const wanted = `at most ${max}`;
  const missing = (why: string): Measurement => ({ check, wanted, verdict: 'missing', why });
  if (samples.length === 0) return missing('there are no samples');
  let largest = 0;
  for (const [i, { input }] of samples.entries()) {
    const live = await answerOf(urls.live, input, signal);
    const canary = await answerOf(urls.canary, input, signal);
    if (!('output' in live)) return missing(`sample ${i + 1}: the live release ${live.problem}`);
    if ('unknown' in canary) return missing(`sample ${i + 1}: the new release ${canary.problem}`);
    const failed = (measured: string): Measurement => ({
      check,
      wanted,
      verdict: 'failed',
      measured: `sample ${i + 1}: ${measured}`,
    });
    if ('problem' in canary) return failed(`the new release ${canary.problem}`);
    const difference = largestDifference(live.output, canary.output);
    if (difference === Infinity) return failed(`${short(canary.output)} instead of ${short(live.output)}`);
    if (difference > max) return failed(String(difference));
    largest = Math.max(largest, difference);
  }
  return { check, wanted, verdict: 'held', measured: String(largest) };
}

/** `unknown`: nothing was answered, which says nothing of the release. */
async function answerOf(
  url: string | undefined,
  input: unknown,
  signal: AbortSignal,
): Promise<{ output: unknown } | { problem: string; unknown?: true }> {
  if (url === undefined) return { problem: 'has no replica', unknown: true };
  const answer = await predict(url, input, timeout, signal);
  if ('dropped' in answer)
    return { problem: `could not be asked: ${messageOf(answer.dropped)}`, unknown: true };
  return answer;
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
