import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import type { Shipyard } from '../support/deployments.js';
import { FaultWorker } from '../support/faults.js';
import { until } from '../support/until.js';
import { Wire } from '../support/wire.js';
import { withoutWorker } from '../support/without-worker.js';

/** What is held before it acts, each in a service of its own. */
const held = ['pushImage', 'rollout', 'publishTag', 'shift'] as const;

/**
 * Its line to Temporal is cut and it lives on. A frozen one would take with it every task that its polls had asked for,
 * each to be waited for until it has timed out. All services at once: it takes some 20 s until another worker is given
 * what it was doing.
 */
describe('a worker presumed dead that still runs its attempts', () => {
  let yard: Shipyard;
  withoutWorker((opened) => (yard = opened));

  test(`its late effects are refused or taken back, whether in ${held.join(', ')}`, async () => {
    const wire = await Wire.to(new URL(`tcp://${yard.stack.temporal.address}`));
    const late = await FaultWorker.start({}, { temporal: wire.address });
    let worker: FaultWorker | null = null;
    try {
      const models: string[] = [];
      const deployments: WorkflowHandle[] = [];
      for (const activity of held) {
        const model = await yard.greeter('late', { greeting: 'Stable' });
        await late.change({ holdBefore: [activity] });
        deployments.push(await yard.deploy({ model }));
        models.push(model);
        await late.held(activity);
      }
      wire.refuse(true);
      wire.cut();
      worker = await FaultWorker.start();
      await Promise.all(deployments.map((handle) => handle.terminate('the worker is presumed dead')));
      await Promise.all(models.map((model) => yard.untilFree(model)));
      await yard.assertNothingLeft();
      // The next deployments are those that count; the late attempts go on in their middle.
      const next = await Promise.all(models.map((model) => yard.deploy({ model })));
      await late.release();
      await Promise.all(next.map((handle) => handle.result()));
      await until(async () => {
        const failed = await late.failed();
        return held.every((activity) => failed.some((line) => line.startsWith(`${activity}: `))) || null;
      });
      for (const model of models) assert.equal(await yard.predict(model, 'Ada'), 'Stable, Ada!');
      await yard.assertNothingLeft();
    } finally {
      await late.end('SIGKILL');
      await worker?.end('SIGTERM');
      await wire.close();
    }
  });
});
