import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import type { ActivityName } from '../support/faults.js';
import { FaultWorker } from '../support/faults.js';
import type { Shipyard } from '../support/deployments.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { servers } from '../support/stages.js';
import { stackWithoutWorker } from '../support/stack-without-worker.js';
import { outage } from './outage.js';

/** The undo of a deployment that failed, from its first activity to its last. */
const undo = ['beginUndo', 'openEffects', 'undoEffect', 'closeGrant'] as const satisfies ActivityName[];

describe('a deployment that takes itself back', () => {
  let yard: Shipyard;
  let model: string;
  let worker: FaultWorker | undefined;
  let edition = 0;
  // Before the stack's own worker comes back.
  after(() => worker?.end('SIGTERM'));
  stackWithoutWorker(async (opened) => {
    yard = opened;
    model = await yard.greeter('undone', { greeting: 'Stable' });
    await yard.ship({ model });
  });

  before(async () => {
    worker = await FaultWorker.start();
  });

  // Nothing is to be undone before, and `admit` meets the same in a rollback.
  const steps = ['checkSource', ...undo] as const;
  test(`every server is killed in ${steps.join(', ')}: it goes on by itself`, () =>
    failing(steps, 'new source', async (worker, handle) => {
      for (const activity of steps) {
        await worker.held(activity);
        await outage(worker, servers, activity);
        // The others of its kind are not held.
        await worker.release(activity);
      }
      assert.equal((await yard.failure(handle)).type, 'VerificationFailed');
      assert.equal((await yard.status(handle)).state, 'failed');
    }));

  for (const activity of undo)
    test(`a cancel in ${activity}: the undo is completed, and how it failed is still told`, () =>
      failing([activity], 'new weights', async (worker, handle) => {
        await worker.held(activity);
        await handle.cancel();
        await handle.cancel();
        await worker.release(activity);
        assert.equal((await yard.failure(handle)).type, 'VerificationFailed');
        const { undo: steps } = await yard.status(handle);
        assert.ok(steps.length > 0);
        assert.ok(
          steps.every(({ state }) => state === 'undone'),
          JSON.stringify(steps),
        );
      }));

  test('by termination in undoEffect: its owner completes the undo', () =>
    failing(['undoEffect'], 'new source', async (worker, handle) => {
      await worker.held('undoEffect');
      await handle.terminate('as an operator in a hurry');
      await worker.release('undoEffect');
    }));

  /** Deploys what does not pass its samples with these activities held; in the end the release before serves as if nothing had been. */
  async function failing(
    holdBefore: readonly ActivityName[],
    changed: 'new source' | 'new weights',
    act: (worker: FaultWorker, handle: WorkflowHandle) => Promise<void>,
  ): Promise<void> {
    edition += 1;
    // Only a new source has to be built: there is more to undo of it.
    const note = changed === 'new source' ? { 'note.txt': `${model} ${edition}` } : {};
    await yard.put(model, 'source', await greeterSource(note));
    await yard.put(model, 'weights', await greeterWeights({ greeting: `Edition ${edition}` }), '20260102');
    await worker!.change({ holdBefore });
    try {
      const verify = { samples: [{ input: 'Ada', expect: 'Something else' }] };
      await act(worker!, await yard.deploy({ model, verify }));
      await yard.untilFree(model);
      assert.equal(await yard.predict(model, 'Ada'), 'Stable, Ada!');
      await yard.assertNothingLeft();
    } finally {
      await worker!.release();
    }
  }
});
