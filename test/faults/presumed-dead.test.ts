import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Shipyard } from '../support/deployments.js';
import { FaultWorker } from '../support/faults.js';
import { until } from '../support/until.js';
import { Wire } from '../support/wire.js';
import { withoutWorker } from '../support/without-worker.js';

/**
 * Its line to Temporal is cut and it lives on. A frozen one would take with it every task that its polls had asked for,
 * each to be waited for until it has timed out.
 */
describe('a worker presumed dead that still runs its attempt', () => {
  let yard: Shipyard;
  withoutWorker((opened) => (yard = opened));

  for (const activity of ['pushImage', 'rollout', 'publishTag', 'shift'] as const)
    test(`in ${activity}: its late effect is refused or taken back`, async () => {
      const model = await yard.greeter('late', { greeting: 'Stable' });
      const wire = await Wire.to(new URL(`tcp://${yard.stack.temporal.address}`));
      const late = await FaultWorker.start({ holdBefore: [activity] }, { temporal: wire.address });
      const handle = await yard.deploy({ model });
      await late.held(activity);
      wire.refuse(true);
      wire.cut();
      const worker = await FaultWorker.start();
      try {
        await handle.terminate('the worker is presumed dead');
        await yard.untilFree(model);
        await yard.assertNothingLeft();
        // The next deployment is the one that counts; the late attempt goes on in its middle.
        const next = await yard.deploy({ model });
        await late.release();
        await next.result();
        await until(async () => {
          const failed = await late.failed();
          return failed.some((line) => line.startsWith(`${activity}: `)) ? true : null;
        });
        assert.deepEqual(await yard.predict(model, 'Ada'), 'Stable, Ada!');
        await yard.assertNothingLeft();
      } finally {
        await late.end('SIGKILL');
        await worker.end('SIGTERM');
        await wire.close();
      }
    });
});
