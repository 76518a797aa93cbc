import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Shipyard } from '../support/deployments.js';
import { FaultWorker } from '../support/faults.js';
import { stageActivities } from '../support/stages.js';
import { stackWithoutWorker } from '../support/stack-without-worker.js';
import { Convoy } from './convoy.js';
import { outage } from './outage.js';
import { outages, wanted } from './outages.js';
import { meeting, stepsMet, unmet } from './plan.js';

describe('servers killed and started again in every stage of a deployment', () => {
  let yard: Shipyard;
  stackWithoutWorker((opened) => (yard = opened));

  test('all at once in every stage, each in every stage that calls it: deployments go on by themselves', async () => {
    const worker = await FaultWorker.start();
    try {
      const convoy = new Convoy(yard, worker);
      await convoy.hold('holdBefore', stageActivities);
      await worker.change({ holdBefore: stageActivities });
      const met: string[] = [];
      const planned = stepsMet(stageActivities, outages);
      for (const [turn, { away, joined }] of outages.entries()) {
        if (joined) await convoy.start(stageActivities[0]);
        for (const stage of planned[turn]!) {
          await worker.held(stage);
          met.push(meeting(away, stage));
        }
        await outage(worker, away);
      }
      assert.deepEqual(unmet(wanted, met), []);
      await worker.release();
      await convoy.arrive();
    } finally {
      await worker.end('SIGTERM');
    }
  });
});
