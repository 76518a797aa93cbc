import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Shipyard } from '../support/deployments.js';
import { FaultWorker } from '../support/faults.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { servers, stageActivities } from '../support/stages.js';
import { withoutWorker } from '../support/without-worker.js';
import { killComponent, repair } from '../support/harm.js';

describe('a server killed and started again in every stage of a deployment', () => {
  let yard: Shipyard;
  withoutWorker((opened) => (yard = opened));

  for (const server of servers)
    test(`${server}: the deployment goes on by itself`, async () => {
      const model = yard.name('restart');
      await yard.put(model, 'source', await greeterSource({ 'note.txt': model }));
      await yard.put(model, 'weights', await greeterWeights({ greeting: model }));
      const worker = await FaultWorker.start({ holdBefore: stageActivities });
      try {
        const handle = await yard.deploy({ model });
        for (const activity of stageActivities) {
          await worker.held(activity);
          await killComponent(server, 'SIGKILL');
          // The stage meets the server away, and has to try again once it is back.
          await worker.release(activity);
          await repair({ except: ['worker'] });
        }
        await handle.result();
        assert.deepEqual(await yard.predict(model, 'Ada'), `${model}, Ada!`);
        await yard.assertNothingLeft();
      } finally {
        await worker.end('SIGTERM');
      }
    });
});
