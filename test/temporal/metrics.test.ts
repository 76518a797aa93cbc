import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Shipyard } from '../support/deployments.js';
import { testStack } from '../support/stack.js';
import { until, untilTrue } from '../support/until.js';
import { WorkerProcess } from '../support/worker-process.js';

describe("a worker's metrics", { timeout: 300_000 }, () => {
  test('are what Prometheus reads, and count deployments', async () => {
    const yard = await Shipyard.onStack();
    try {
      await yard.failure(await yard.deploy({ model: yard.name() }));
      const url = `http://${yard.stack.workerMetrics}/metrics`;
      const answer = await fetch(url);
      assert.match(answer.headers.get('content-type') ?? '', /^text\/plain/);
      const value = async (metric: string, ...labels: string[]): Promise<number> => {
        const line = (await (await fetch(url)).text())
          .split('\n')
          .find((it) => it.startsWith(`${metric}{`) && labels.every((label) => it.includes(label)));
        return Number(line?.split(' ').at(-1) ?? 0);
      };
      // The worker counts what it has done once Temporal has taken it, after others may have heard of that.
      await untilTrue(
        async () => (await value('temporal_workflow_failed', 'workflow_type="deployModel"')) >= 1,
      );
      assert.ok(
        (await value('temporal_num_pollers', 'task_queue="slipway"', 'poller_type="activity_task"')) > 0,
      );
      assert.ok((await value('temporal_worker_task_slots_available', 'worker_type="ActivityWorker"')) > 900);
    } finally {
      await yard.close();
    }
  });

  test('an address that is taken ends the worker, which says so', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-metrics-'));
    const { workerMetrics, ...stack } = await testStack();
    // Not the stack's, whose tasks it must not take before it ends.
    const temporal = { ...stack.temporal, namespace: 'of-nobody' };
    const second = await WorkerProcess.start(folder, { ...stack, temporal, workerMetrics });
    try {
      assert.equal(await second.ended(), 1);
      assert.match(
        second.log,
        new RegExp(`serving metrics at ${workerMetrics} \\(workerMetrics\\): .*in use`),
      );
    } finally {
      await second.stop();
      await rm(folder, { recursive: true });
    }
    // The one that was there is none the worse for it.
    await until(async () => ((await fetch(`http://${workerMetrics}/metrics`)).ok ? true : null));
  });
});
