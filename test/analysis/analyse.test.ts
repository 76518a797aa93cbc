import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { analyseActivities } from '../../activities/analyse.js';
import type { Progress } from '../../contract/pipeline.js';
import { Analysis, type Canary } from '../../contract/strategy.js';
import { latencyBounds, noTraffic } from '../../contract/traffic.js';
import type { Platform } from '../../platform/open.js';
import { MemoryCatalog } from '../support/memory-catalog.js';
import { spec } from '../support/memory-world.js';

type Lab = ReturnType<typeof open>;

/** The activity over a catalog in memory, with a step of `lasts` ms. */
function open(
  analysis: Partial<Analysis> = {},
  { lasts = 300 as number | null, scheduled = Date.now() } = {},
) {
  const catalog = new MemoryCatalog();
  const environment = new MockActivityEnvironment({
    currentAttemptScheduledTimestampMs: scheduled,
  });
  const seen: string[] = [];
  environment.on('heartbeat', (progress: Progress) => seen.push(progress.message));
  const { analyse } = analyseActivities({ catalog } as unknown as Platform);
  const strategy: Canary = {
    kind: 'canary',
    steps: [{ weight: 25, for: '1s' }],
    traffic: 'gateway',
    analysis: Analysis.parse({ patience: '1s', ...analysis }),
  };
  const grant = { service: 'iris', token: 2, deployment: { workflowId: 'w', runId: 'r' } };
  const candidate = {
    id: 'iris.r2',
    model: 'iris',
    image: { repository: 'iris', digest: 'sha256:0' as never },
    spec,
    target: 'docker' as const,
  };
  const baseline = {
    live: { release: 'iris.r1', figures: noTraffic() },
    canary: { release: 'iris.r2', figures: noTraffic() },
  };
  const until = lasts === null ? null : scheduled + lasts;
  return {
    catalog,
    environment,
    seen,
    run: () => environment.run(analyse, grant, candidate, [], strategy, { weight: 25, baseline, until }),
  };
}

/** So many requests, some of which failed, each taking `ms`. */
function count({ catalog }: Lab, requests: number, failures = 0, ms = 10, release = 'iris.r2'): void {
  const latency = [...noTraffic().latency];
  const bucket = latencyBounds.findIndex((bound) => ms <= bound);
  latency[bucket] = requests;
  void catalog.reportTraffic('gateway', [
    { service: 'iris', release, figures: { requests, failures, latency } },
  ]);
}

async function refusal(run: Promise<unknown>): Promise<ApplicationFailure> {
  const error: unknown = await run.then(
    () => assert.fail('it held'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ApplicationFailure, String(error));
  assert.deepEqual([error.type, error.nonRetryable], ['VerificationFailed', true]);
  return error;
}

describe('the analysis of a canary step', { concurrency: 8 }, () => {
  test('holds at its end, and not before', async () => {
    const lab = open();
    count(lab, 100);
    const began = performance.now();
    await lab.run();
    assert.ok(performance.now() - began >= 280);
  });

  test('says how far it is, beside the live release', async () => {
    const lab = open({}, { lasts: 500 });
    count(lab, 120, 0, 12);
    count(lab, 360, 1, 10, 'iris.r1');
    await lab.run();
    assert.match(
      lab.seen[0]!,
      /^canary 25 %: 120 requests, 100 % ok, p95 13 ms \(live: 360 requests, 99\.7 % ok, p95 11 ms\), 1s left$/,
    );
  });

  test('fails at once when too many requests fail', async () => {
    const lab = open({}, { lasts: 60_000 });
    count(lab, 100, 2);
    const { message, details } = await refusal(lab.run());
    assert.match(
      message,
      /release "iris\.r2" with 25 % of the traffic: success rate: 98 %, wanted at least 99 %/,
    );
    const { check, measured, wanted, release } = details![0] as Record<string, unknown>;
    assert.deepEqual(
      { check, measured, wanted, release },
      { check: 'success rate', measured: '98 %', wanted: 'at least 99 %', release: 'iris.r2' },
    );
  });

  test('counts only what came since the step began, and only of this release', async () => {
    const lab = open({ minRequests: 50, patience: '0s' });
    count(lab, 1_000, 1_000, 10, 'iris.r1');
    count(lab, 40);
    const { message } = await refusal(lab.run());
    assert.match(message, /no measurement: 40 of 50 requests/);
  });

  test('does not judge by a few: they may yet become more', async () => {
    const lab = open({}, { lasts: 200 });
    count(lab, 3, 3);
    const run = lab.run();
    await delay(600);
    count(lab, 1_000, 3);
    await run;
  });

  test('never takes too few for success: it waits for its patience, and then fails', async () => {
    const lab = open();
    count(lab, 3);
    const began = performance.now();
    const { message, details } = await refusal(lab.run());
    assert.match(message, /success rate: no measurement: 3 of 10 requests, 1s after the step's time$/);
    assert.ok(performance.now() - began >= 1_250);
    assert.equal((details![0] as { measured: unknown }).measured, null);
  });

  test('holds the latency against its bound at the percentile', async () => {
    const slow = open({ latency: { percentile: 99, max: '50ms' } }, { lasts: 60_000 });
    count(slow, 100, 0, 80);
    assert.match((await refusal(slow.run())).message, /latency p99: 95 ms, wanted at most 50ms/);
    const quick = open({ latency: { percentile: 99, max: '50ms' } });
    count(quick, 100, 0, 40);
    await quick.run();
  });

  test('waits out a catalog that is away for less than its patience', async () => {
    const lab = open({ patience: '5s' });
    count(lab, 100);
    lab.catalog.trafficOf = () => Promise.reject(new Error('asking the catalog: connection refused'));
    const run = lab.run();
    await delay(1_500);
    assert.match(lab.seen.at(-1)!, /waiting for success rate: asking the catalog/);
    Reflect.deleteProperty(lab.catalog, 'trafficOf');
    await run;
  });

  test('does not take a catalog that stays away for a good canary', async () => {
    const lab = open();
    lab.catalog.trafficOf = () => Promise.reject(new Error('asking the catalog: connection refused'));
    assert.match(
      (await refusal(lab.run())).message,
      /no measurement: asking the catalog: connection refused/,
    );
  });

  test('tried again by another worker does not begin its time anew', async () => {
    const scheduled = Date.now() - 3_600_000;
    // The worker's clock is an hour ahead of the server's: only the server's counts.
    const lab = open({}, { lasts: 200, scheduled });
    count(lab, 100);
    const began = performance.now();
    await lab.run();
    const took = performance.now() - began;
    assert.ok(took >= 180 && took < 60_000, `${took} ms`);
  });

  test('of a paused step has no end, but fails all the same', async () => {
    const lab = open({}, { lasts: null });
    count(lab, 100);
    const run = lab.run();
    const ended = await Promise.race([run.then(() => true), delay(1_000, false)]);
    assert.equal(ended, false);
    assert.match(lab.seen[0]!, /until resumed$/);
    count(lab, 200, 150);
    await refusal(run);
  });

  test('ends when it is cancelled', async () => {
    const lab = open({}, { lasts: 3_600_000 });
    const run = lab.run();
    await delay(100);
    lab.environment.cancel('CANCELLED', { cancelRequested: true } as never);
    await assert.rejects(run, CancelledFailure);
  });
});
