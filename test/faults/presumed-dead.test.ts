import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Shipyard } from '../support/deployments.js';
import { FaultWorker } from '../support/faults.js';
import { withoutWorker } from '../support/without-worker.js';

describe('a worker presumed dead that still runs its attempt', () => {
  let yard: Shipyard;
  withoutWorker((opened) => (yard = opened));

  for (const activity of ['pushImage', 'rollout', 'publishTag', 'shift'] as const)
    test(`in ${activity}: its late effect is refused or taken back`, async () => {
      const model = await yard.greeter('late', { greeting: 'Stable' });
      const sleeper = await FaultWorker.start({ holdBefore: [activity] });
      const handle = await yard.deploy({ model });
      await sleeper.held(activity);
      sleeper.freeze();
      const worker = await FaultWorker.start();
      try {
        await handle.terminate('the worker is presumed dead');
        await yard.untilFree(model);
        await yard.assertNothingLeft();
        // The next deployment is the one that counts; the sleeper wakes up into its middle.
        await sleeper.release();
        const next = await yard.deploy({ model });
        sleeper.thaw();
        await next.result();
        await delay(3_000);
        assert.deepEqual(await yard.predict(model, 'Ada'), 'Stable, Ada!');
        await yard.assertNothingLeft();
      } finally {
        await sleeper.end('SIGKILL');
        await worker.end('SIGTERM');
      }
    });
});
