import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Shipyard } from '../support/deployments.js';
import { LocalWorker } from '../support/local-worker.js';
import { greeterWeights } from '../support/models.js';
import { withoutWorker } from '../support/without-worker.js';

describe('two deployments of one service', () => {
  let yard: Shipyard;
  let model: string;
  withoutWorker(async (opened) => {
    yard = opened;
    model = await yard.greeter('both', { greeting: 'Stable' });
    await yard.ship({ model });
  });

  test('the second fails at once and names the first', async () => {
    const worker = await LocalWorker.start({ holdAfter: ['rollout'] });
    try {
      const first = await yard.deploy({ model });
      await worker.held('rollout');
      const failure = await yard.failure(await yard.deploy({ model }));
      assert.equal(failure.type, 'Conflict');
      assert.ok(failure.message.includes(first.workflowId), failure.message);
      await worker.release();
      await first.result();
      await yard.assertNothingLeft();
    } finally {
      await worker.end();
    }
  });

  test('the second waits for the first when told to', async () => {
    const worker = await LocalWorker.start({ holdAfter: ['verify'] });
    try {
      const first = await yard.deploy({ model });
      await worker.held('verify');
      const second = await yard.deploy({ model, onConflict: 'wait' });
      assert.equal((await yard.status(second)).state, 'waiting');
      await worker.release();
      await first.result();
      await second.result();
      await yard.assertNothingLeft();
    } finally {
      await worker.end();
    }
  });

  test('the second supersedes the first: cancelled, undone, and only then started', async () => {
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Superseded' }), '20260102');
    const worker = await LocalWorker.start({ holdAfter: ['rollout'] });
    try {
      const first = await yard.deploy({ model });
      await worker.held('rollout');
      await yard.put(model, 'weights', await greeterWeights({ greeting: 'Superseding' }), '20260103');
      const second = await yard.deploy({ model, onConflict: 'supersede' });
      await assert.rejects(first.result());
      await worker.release();
      await second.result();
      const { state, undo } = await yard.status(first);
      assert.equal(state, 'cancelled');
      assert.ok(undo.length > 0 && undo.every((step) => step.state === 'undone'), JSON.stringify(undo));
      assert.deepEqual(await yard.predict(model, 'Ada'), 'Superseding, Ada!');
      await yard.assertNothingLeft();
    } finally {
      await worker.end();
    }
  });

  test('a cancel of a deployment that has ended, and a second cancel, change nothing', async () => {
    const worker = await LocalWorker.start();
    try {
      const handle = await yard.deploy({ model });
      await handle.result();
      await handle.cancel();
      await handle.cancel();
      assert.equal((await yard.status(handle)).state, 'succeeded');
      assert.deepEqual(await yard.predict(model, 'Ada'), 'Superseding, Ada!');
    } finally {
      await worker.end();
    }
  });
});
