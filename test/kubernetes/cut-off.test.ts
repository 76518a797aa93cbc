import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Service } from '@kubernetes/client-node';
import type { WorkflowHandle } from '@temporalio/client';
import type { ActivityName } from '../support/faults.js';
import { Drydock } from './drydock.js';

describe('a deployment on Kubernetes cut off after an effect', () => {
  const dock = Drydock.here();

  /** Holds a deployment after an activity, then cuts it off; passes when all is as before, and no request was lost. */
  async function whileHeld(
    activity: ActivityName,
    cutOff: (handle: WorkflowHandle) => Promise<void>,
  ): Promise<void> {
    const { harbour, model, worker } = dock;
    const request = await harbour.newer(model, { greeting: 'Bye' });
    const objects = await harbour.objects(model);
    await worker.change({ holdAfter: [activity] });
    await harbour.losesNone(
      model,
      async () => {
        const handle = await harbour.yard.deploy(request);
        await worker.held(activity);
        await cutOff(handle);
        await harbour.yard.untilFree(model);
      },
      20,
    );
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Hello, Ada!');
    assert.deepEqual(await harbour.objects(model), objects);
    await harbour.yard.assertNothingLeft();
  }

  for (const activity of ['rollout', 'promote', 'shift'] as const)
    test(`by termination after ${activity}: its owner takes everything back, no request is lost`, () =>
      whileHeld(activity, async (handle) => {
        await handle.terminate('as an operator in a hurry');
        await dock.worker.release();
      }));

  test('by an abort after its Service was changed by hand: that is put back, and told', async () => {
    const { harbour, model, worker } = dock;
    const service = async () =>
      JSON.parse(await harbour.kubectl('get', 'service', model, '-o', 'json')) as V1Service;
    const before = await service();
    await whileHeld('promote', async (handle) => {
      const spec = { sessionAffinity: 'ClientIP' };
      const metadata = { annotations: { 'example.com/note': 'seen' } };
      await harbour.kubectl(
        ...['patch', 'service', model, '--type=merge', '--field-manager=someone'],
        ...['-p', JSON.stringify({ metadata, spec })],
      );
      await handle.executeUpdate('abort', { args: [{ by: 'test', reason: 'changed by hand' }] });
      await worker.release();
      assert.equal((await harbour.yard.failure(handle)).type, 'Aborted');
      const { undo } = await harbour.yard.status(handle);
      assert.deepEqual(
        undo.map(({ state }) => state),
        undo.map(() => 'undone'),
      );
      const notes = undo.flatMap((step) => step.notes ?? []).join('\n');
      assert.match(notes, /sessionAffinity was changed by "someone" from "None" to "ClientIP": put back/);
    });
    const now = await service();
    assert.deepEqual(now.spec, before.spec);
    // What is theirs alone stays.
    assert.equal(now.metadata?.annotations?.['example.com/note'], 'seen');
  });
});
