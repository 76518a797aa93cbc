import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Shipyard } from '../support/deployments.js';
import { FaultWorker } from '../support/faults.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { SoakOrder } from '../support/soak.js';
import { servers, stageActivities } from '../support/stages.js';
import { stackWithoutWorker } from '../support/stack-without-worker.js';
import { outage } from './outage.js';

/** Each server in each stage, and nothing else under way: every deployment has another server away in each of its stages. */
describe('each server killed and started again in each stage of a deployment', () => {
  let yard: Shipyard;
  stackWithoutWorker((opened) => (yard = opened));
  const order = SoakOrder.draw();
  const byStage = stageActivities.map((activity) => ({ activity, drawn: order.of(servers) }));

  for (const [turn] of servers.entries()) {
    const plan = byStage.map(({ activity, drawn }) => ({ activity, server: drawn[turn]! }));
    test(`${plan.map(({ server }) => server).join(', ')}: the deployment goes on by itself`, async () => {
      const model = yard.name('restart');
      await yard.put(model, 'source', await greeterSource({ 'note.txt': model }));
      await yard.put(model, 'weights', await greeterWeights({ greeting: model }));
      const worker = await FaultWorker.start({ holdBefore: stageActivities });
      try {
        const handle = await yard.deploy({ model });
        for (const { activity, server } of plan) {
          await worker.held(activity);
          await outage(worker, [server], activity);
        }
        await handle.result();
        assert.equal(await yard.predict(model, 'Ada'), `${model}, Ada!`);
        await yard.assertNothingLeft();
      } finally {
        await worker.end('SIGTERM');
      }
    });
  }
});
