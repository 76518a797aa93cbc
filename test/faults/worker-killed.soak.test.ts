import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Shipyard } from '../support/deployments.js';
import { FaultWorker } from '../support/faults.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { afterCommit, stageActivities } from '../support/stages.js';
import { withoutWorker } from '../support/without-worker.js';

describe('a deployment whose worker is killed with kill -9 again and again', () => {
  let yard: Shipyard;
  withoutWorker((opened) => (yard = opened));

  test('in every stage after its effect, before its reply: the next worker goes on, nothing is left over', async () => {
    const model = yard.name('killed');
    // Content of its own, so that there is something to build and to push.
    await yard.put(model, 'source', await greeterSource({ 'note.txt': model }));
    await yard.put(model, 'weights', await greeterWeights({ greeting: model }));
    const stages = [...stageActivities, ...afterCommit];
    let worker = await FaultWorker.start({ holdAfter: stages });
    const handle = await yard.deploy({ model });
    for (const activity of stages) {
      await worker.held(activity);
      await worker.end('SIGKILL');
      worker = await FaultWorker.start({ holdAfter: stages });
    }
    try {
      await handle.result();
      assert.equal(await yard.predict(model, 'Ada'), `${model}, Ada!`);
      await yard.assertNothingLeft();
    } finally {
      await worker.release();
      await worker.end('SIGTERM');
    }
  });
});
