import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CancelledFailure, WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import type { Shipyard } from '../support/deployments.js';
import { LocalWorker } from '../support/local-worker.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { stageActivities } from '../support/stages.js';
import { withoutWorker } from '../support/without-worker.js';

type Activity = (typeof stageActivities)[number] | 'checkSource';

/** Where there is something to undo, or to stop, only when a source is new. */
const ofNewSource: readonly Activity[] = ['buildSource', 'checkSource', 'pushImage'];

/** What they change is no one's but the worker's: its cache. */
const withoutEffect: readonly Activity[] = ['pin', 'downloadSource', 'downloadModel'];

describe('a deployment cut off after an effect', () => {
  let yard: Shipyard;
  let model: string;
  let worker: LocalWorker | undefined;
  let edition = 0;
  after(() => worker?.end());
  withoutWorker(async (opened) => {
    yard = opened;
    model = await yard.greeter('cut', { greeting: 'Stable' });
    await yard.ship({ model });
  });
  before(async () => {
    worker = await LocalWorker.start();
  });

  /** New weights, and a new source only where it takes one: everywhere else nothing has to be built. */
  async function change(activity: Activity): Promise<void> {
    edition += 1;
    const note = { 'note.txt': `${model} ${edition}` };
    await yard.put(model, 'source', await greeterSource(ofNewSource.includes(activity) ? note : {}));
    await yard.put(model, 'weights', await greeterWeights({ greeting: `Edition ${edition}` }), '20260102');
  }

  async function whileHeld(
    activity: Activity,
    act: (handle: WorkflowHandle) => Promise<void>,
  ): Promise<void> {
    await change(activity);
    await worker!.change({ holdAfter: [activity] });
    try {
      const handle = await yard.deploy({ model });
      await worker!.held(activity);
      await act(handle);
      await stableAgain();
      await yard.assertNothingLeft();
    } finally {
      await worker!.release();
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
        assert.equal(undo.length > 0, !withoutEffect.includes(activity), JSON.stringify(undo));
        assert.ok(
          undo.every((step) => step.state === 'undone'),
          JSON.stringify(undo),
        );
      }));
  }
});
