import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Shipyard } from '../support/deployments.js';
import { FaultWorker, type ActivityName } from '../support/faults.js';
import { greeterWeights } from '../support/models.js';
import { servers } from '../support/stages.js';
import { stackWithoutWorker } from '../support/stack-without-worker.js';
import { outage } from './outage.js';

/** Tests that a rollback goes on by itself when every server is killed in each of these of its activities, in order. */
export function rollbackGoesOn(steps: readonly ActivityName[]): void {
  describe('a rollback', () => {
    let yard: Shipyard;
    let model: string;
    stackWithoutWorker(async (opened) => {
      yard = opened;
      model = await yard.greeter('back', { greeting: 'Stable' });
      await yard.ship({ model });
      await yard.put(model, 'weights', await greeterWeights({ greeting: 'Newer' }), '20260102');
      await yard.ship({ model });
    });

    test(`every server is killed in ${steps.join(', ')}: it goes on by itself`, async () => {
      const [first] = steps;
      const worker = await FaultWorker.start({ holdBefore: [first!] });
      try {
        const handle = await yard.deploy({ model, rollbackTo: 'previous' });
        await worker.held(first!);
        // Only now: the release before may have been tidied up after by this worker.
        await worker.change({ holdBefore: steps });
        for (const activity of steps) {
          await worker.held(activity);
          await outage(worker, servers, activity);
        }
        await handle.result();
        assert.equal(await yard.predict(model, 'Ada'), 'Stable, Ada!');
        await yard.assertNothingLeft();
      } finally {
        await worker.end('SIGTERM');
      }
    });
  });
}
