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

  test('in every stage after its effect, before its reply: the next worker goes on, nothing is left over', async () => {
    const doomed = await FaultWorker.start();
    const convoy = new Convoy(yard, doomed);
    // A grant that is being closed has 30 s: last of all.
    await convoy.hold('holdAfter', [...stageActivities, 'tidy', 'closeGrant']);
    await doomed.end('SIGKILL');
    const worker = await FaultWorker.start();
    try {
      await convoy.arrive();
    } finally {
      await worker.end('SIGTERM');
    }
  });

  test('in the middle of an undo: the next worker ends it', async () => {
    const model = yard.name('undo');
    await yard.put(model, 'source', await greeterSource({ 'note.txt': model }));
    await yard.put(model, 'weights', await greeterWeights({ wrong: true }));
    const verify = { samples: [{ input: 'Ada', expect: 'Hello, Ada!' }] };
    const doomed = await FaultWorker.start({ holdAfter: ['undoEffect'] });
    const handle = await yard.deploy({ model, verify });
    await doomed.held('undoEffect');
    await doomed.end('SIGKILL');
    const worker = await FaultWorker.start();
    try {
      assert.equal((await yard.failure(handle)).type, 'VerificationFailed');
      await assert.rejects(yard.predict(model, 'Ada'), /404/);
      await yard.assertNothingLeft();
    } finally {
      await worker.end('SIGTERM');
    }
  });
});
