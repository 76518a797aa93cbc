import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CancelledFailure, WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import type { Shipyard } from '../support/deployments.js';
import { FaultWorker } from '../support/faults.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { stageActivities } from '../support/stages.js';
import { withoutWorker } from '../support/without-worker.js';

describe('a deployment cut off after an effect', () => {
  let yard: Shipyard;
  let model: string;
  let edition = 0;
  withoutWorker(async (opened) => {
    yard = opened;
    model = await yard.greeter('cut', { greeting: 'Stable' });
    await yard.ship({ model });
  });

  /** New source and weights, so that every stage has an effect to undo. */
  async function change(): Promise<void> {
    edition += 1;
    await yard.put(model, 'source', await greeterSource({ 'note.txt': `${model} ${edition}` }));
    await yard.put(model, 'weights', await greeterWeights({ greeting: `Edition ${edition}` }), '20260102');
  }

  async function whileHeld(
    activity: (typeof stageActivities)[number] | 'checkSource',
    act: (handle: WorkflowHandle) => Promise<void>,
  ): Promise<void> {
    await change();
    const worker = await FaultWorker.start({ holdAfter: [activity] });
    try {
      const handle = await yard.deploy({ model });
      await worker.held(activity);
      await act(handle);
      await stableAgain();
      await yard.assertNothingLeft();
    } finally {
      await worker.end('SIGTERM');
    }
  }

  /** The release before serves, and the service is free for the next deployment. */
  async function stableAgain(): Promise<void> {
    await yard.untilFree(model);
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Stable, Ada!');
  }

  for (const activity of [...stageActivities, 'checkSource'] as const) {
    test(`by termination in ${activity}: its owner undoes it`, () =>
      whileHeld(activity, async (handle) => {
        await handle.terminate('as an operator in a hurry');
      }));

    test(`by a cancel in ${activity}: it undoes itself and ends cancelled`, () =>
      whileHeld(activity, async (handle) => {
        await handle.cancel();
        const error: unknown = await handle.result().catch((reason: unknown) => reason);
        assert.ok(
          error instanceof WorkflowFailedError && error.cause instanceof CancelledFailure,
          String(error),
        );
        const { state, undo } = await yard.status(handle);
        assert.equal(state, 'cancelled');
        assert.ok(
          undo.every((step) => step.state === 'undone'),
          JSON.stringify(undo),
        );
      }));
  }
});
