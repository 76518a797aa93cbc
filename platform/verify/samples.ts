import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import type { Sample, ServeSpec } from '../../contract/deploy.js';
import { messageOf, SlipwayError } from '../../contract/errors.js';
import type { OnProgress, SampleResult } from '../../contract/pipeline.js';
import { milliseconds } from '../../contract/quantities.js';
import { serving } from '../../contract/serving.js';
import { firstDifference, wholeValue } from './compare.js';

/** Characters of JSON that are kept of what was expected and what came: results travel and are stored. */
const maxKept = 2_000;
/** Milliseconds a replica that dropped a connection gets to be ready again. */
const returnTimeout = 30_000;

type Watch = { onProgress: OnProgress; signal: AbortSignal };

/**
 * Puts every sample to the replica at `url` and judges the answers: as expected, within the latency budget.
 * The first sample's input goes once ahead unjudged, since a first prediction is often slow for reasons that
 * later ones do not have; then each sample is judged on one answer. A dropped connection is tried once more after
 * the replica is ready again; a replica that stays away is a passing fault and thrown.
 */
export async function judgeSamples(
  url: string,
  verify: Pick<ServeSpec['verify'], 'samples' | 'latencyBudget'>,
  watch: Watch,
): Promise<SampleResult[]> {
  const samples = verify.samples ?? [];
  const budget = milliseconds(verify.latencyBudget);
  const timeout = Math.max(10 * budget, 10_000);
  const [first] = samples;
  if (first) {
    watch.onProgress({ message: 'warming up', done: 0, total: samples.length, unit: 'samples' });
    await ask(url, first.input, timeout, watch.signal);
  }
  const results: SampleResult[] = [];
  for (const sample of samples) {
    watch.onProgress({
      message: `judging sample ${results.length + 1} of ${samples.length}`,
      done: results.length,
      total: samples.length,
      unit: 'samples',
    });
    results.push(judge(sample, await ask(url, sample.input, timeout, watch.signal), budget));
  }
  return results;
}

/** Throws `VerificationFailed` naming what was expected and what came, when any sample was not as it should be. */
export function assertVerified(results: SampleResult[]): void {
  const failing = results.map((result, at) => ({ sample: at + 1, ...result })).filter(({ ok }) => !ok);
  const [first] = failing;
  if (!first) return;
  const more = failing.length > 1 ? ` (and ${failing.length - 1} more)` : '';
  throw new SlipwayError(
    'VerificationFailed',
    `sample ${first.sample}: ${first.problem ?? 'refused'}${more}`,
    {
      samples: failing,
    },
  );
}

/** What came of one request: a prediction, or why there is none. */
type Answer = { latency: number } & ({ output: unknown } | { problem: string });

function judge(sample: Sample, answer: Answer, budget: number): SampleResult {
  const { latency } = answer;
  const expected = sample.expect === undefined ? {} : { expected: clip(sample.expect) };
  if ('problem' in answer) return { ok: false, latency, ...expected, problem: answer.problem };
  const shown = { latency, ...expected, got: clip(answer.output) };
  if (sample.expect !== undefined) {
    const difference = firstDifference(sample.expect, answer.output, sample.tolerance);
    if (difference !== null)
      return { ok: false, ...shown, problem: differing(sample, answer.output, difference) };
  }
  if (latency > budget)
    return {
      ok: false,
      ...shown,
      problem: `answered after ${latency} ms, the latency budget is ${budget} ms`,
    };
  return { ok: true, ...shown };
}

/** `expected [0], got [1]`; where two long values differ is said as well. */
function differing(sample: Sample, output: unknown, at: string): string {
  const within = sample.tolerance > 0 ? ` within ${sample.tolerance}` : '';
  const text = `expected ${short(sample.expect)}${within}, got ${short(output)}`;
  return text.length > 120 && at !== wholeValue ? `${text}, differing at ${at}` : text;
}

const short = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
};

/** The value itself, or the beginning of its JSON when that is long. */
function clip(value: unknown): unknown {
  const text = JSON.stringify(value);
  return text !== undefined && text.length > maxKept ? `${text.slice(0, maxKept)}…` : value;
}

async function ask(url: string, input: unknown, timeout: number, signal: AbortSignal): Promise<Answer> {
  const once = await predict(url, input, timeout, signal);
  if (!('dropped' in once)) return once;
  await awaitReturn(url, once.dropped, signal);
  const again = await predict(url, input, timeout, signal);
  if (!('dropped' in again)) return again;
  const { latency, dropped } = again;
  return { latency, problem: `the connection ended without an answer, twice: ${messageOf(dropped)}` };
}

/** One request for a prediction; `dropped` is why the connection ended without an answer. */
export async function predict(
  url: string,
  input: unknown,
  timeout: number,
  signal: AbortSignal,
): Promise<Answer | { latency: number; dropped: unknown }> {
  const bound = AbortSignal.timeout(timeout);
  const began = performance.now();
  const took = () => Math.round(performance.now() - began);
  let statusCode: number;
  let text: string;
  try {
    const response = await request(url + serving.predict, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input }),
      signal: AbortSignal.any([signal, bound]),
      // The bound above is the only one.
      headersTimeout: 0,
      bodyTimeout: 0,
      reset: true,
    });
    statusCode = response.statusCode;
    text = await response.body.text();
  } catch (error) {
    signal.throwIfAborted();
    if (bound.aborted) return { latency: took(), problem: `no answer within ${timeout / 1000} s` };
    return { latency: took(), dropped: error };
  }
  const latency = took();
  if (statusCode !== 200) return { latency, problem: `answered ${statusCode}: ${text.trim().slice(0, 500)}` };
  const output = outputOf(text);
  return output === undefined
    ? { latency, problem: `the answer is not {"output": …} in JSON: ${text.trim().slice(0, 200)}` }
    : { latency, output };
}

/** The `output` of an answer; undefined when it is no such JSON. NaN, which Python writes, is none. */
function outputOf(text: string): unknown {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === 'object' && answer !== null
      ? (answer as { output?: unknown }).output
      : undefined;
  } catch {
    return undefined;
  }
}

/** Waits until the replica is ready again; throws when it stays away, `dropped` being why it was asked. */
async function awaitReturn(url: string, dropped: unknown, signal: AbortSignal): Promise<void> {
  for (const deadline = Date.now() + returnTimeout; Date.now() < deadline;) {
    await sleep(250, undefined, { signal });
    if (await isReady(url, signal)) return;
  }
  throw new Error(`asking "${url}" for a prediction: not ready again within ${returnTimeout / 1000} s`, {
    cause: dropped,
  });
}

async function isReady(url: string, signal: AbortSignal): Promise<boolean> {
  const bound = AbortSignal.any([signal, AbortSignal.timeout(2_000)]);
  try {
    const { statusCode, body } = await request(url + serving.ready, { signal: bound, reset: true });
    await body.dump();
    return statusCode === 200;
  } catch {
    // Not there yet, which is what is waited for to end.
    signal.throwIfAborted();
    return false;
  }
}
