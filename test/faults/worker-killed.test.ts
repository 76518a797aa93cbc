import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Shipyard } from '../support/deployments.js';
import { FaultWorker } from '../support/faults.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { stageActivities } from '../support/stages.js';
import { withoutWorker } from '../support/without-worker.js';
import { Convoy } from './convoy.js';

describe('a worker killed with kill -9', () => {
  let yard: Shipyard;
  withoutWorker((opened) => (yard = opened));

  test('in every stage after its effect, before its reply, and in the middle of an undo: the next worker goes on, nothing is left over', async () => {
    const doomed = await FaultWorker.start();
    const convoy = new Convoy(yard, doomed);
    await convoy.hold('holdAfter', [...stageActivities, 'tidy']);

    const model = yard.name('undo');
    await yard.put(model, 'source', await greeterSource({ 'note.txt': model }));
    await yard.put(model, 'weights', await greeterWeights({ wrong: true }));
    const verify = { samples: [{ input: 'Ada', expect: 'Hello, Ada!' }] };
    await doomed.change({ holdAfter: ['undoEffect'] });
    const failing = await yard.deploy({ model, verify });
    await doomed.held('undoEffect');

    // The last one: it has half a minute.
    await convoy.hold('holdAfter', ['closeGrant']);
    await doomed.end('SIGKILL');
    const worker = await FaultWorker.start();
    try {
      assert.equal((await yard.failure(failing)).type, 'VerificationFailed');
      await assert.rejects(yard.predict(model, 'Ada'), /404/);
      await convoy.arrive();
    } finally {
      await worker.end('SIGTERM');
    }
  });
});
