import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import { ApiClient } from '../../api/client.js';
import type { AbortAnswer } from '../../contract/deployment.js';
import { Drydock } from './drydock.js';
import { canary } from './strategies.js';

describe('a deployment on Kubernetes cut short by people', () => {
  const dock = Drydock.here();

  const abort = (handle: WorkflowHandle, reason: string): Promise<AbortAnswer> =>
    handle.executeUpdate<AbortAnswer, [object]>('abort', { args: [{ by: 'test', reason }] });

  /** No request is lost while `act` runs, and all is as it was before. */
  async function untouched(act: () => Promise<void>): Promise<void> {
    const { harbour, model } = dock;
    const objects = await harbour.objects(model);
    await harbour.losesNone(model, act);
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Hello, Ada!');
    assert.deepEqual(await harbour.objects(model), objects);
    await harbour.yard.assertNothingLeft();
  }

  async function assertUndone(handle: WorkflowHandle, state: string): Promise<void> {
    const { harbour } = dock;
    const status = await harbour.yard.status(handle);
    assert.equal(status.state, state);
    assert.ok(status.undo.length > 0);
    assert.ok(
      status.undo.every((step) => step.state === 'undone'),
      JSON.stringify(status.undo),
    );
  }

  test('aborted twice, it is undone once; aborted when nothing runs any more, nothing changes', async () => {
    const { harbour, model, worker } = dock;
    const request = await harbour.newer(model, { greeting: 'Bye' });
    await worker.change({ holdAfter: ['promote'] });
    await untouched(async () => {
      const handle = await harbour.yard.deploy(request);
      await worker.held('promote');
      const answers = await Promise.all([abort(handle, 'first'), abort(handle, 'second')]);
      assert.deepEqual(answers.map(({ requested }) => requested).sort(), [false, true]);
      await worker.release();
      assert.equal((await harbour.yard.failure(handle)).type, 'Aborted');
      await assertUndone(handle, 'failed');
      await handle.cancel();
      const client = new ApiClient(harbour.yard.stack.api, harbour.yard.stack.token);
      const late = await client.call('cancel', { params: { id: handle.workflowId }, body: {} });
      await client.close();
      assert.deepEqual(late, { requested: false });
      await assertUndone(handle, 'failed');
    });
  });

  test('cancelled while it is undone, it is undone whole', async () => {
    const { harbour, model, worker } = dock;
    const request = await harbour.newer(model, { greeting: 'Bye' });
    await worker.change({ holdBefore: ['shift', 'undoEffect'] });
    await untouched(async () => {
      const handle = await harbour.yard.deploy(request);
      await worker.held('shift');
      await abort(handle, 'to be undone');
      // The first step of it, then in the midst of the others.
      for (const steps of [1, 2]) {
        await worker.held('undoEffect');
        assert.equal((await harbour.yard.status(handle)).undo.length, steps);
        await handle.cancel();
        await worker.release('undoEffect');
        if (steps === 1) await worker.change({ holdBefore: ['undoEffect'] });
      }
      await worker.release();
      await assert.rejects(handle.result());
      await assertUndone(handle, 'failed');
    });
  });

  test('aborted in the second step of a canary, the release before has all of the traffic again', async () => {
    const { harbour, model, worker } = dock;
    const { strategy } = canary;
    for (const activity of ['share', 'analyse'] as const) {
      const request = await harbour.newer(model, { greeting: 'Bye' }, { strategy });
      await worker.change({ holdAfter: [activity] });
      await untouched(async () => {
        const handle = await harbour.yard.deploy(request);
        await worker.held(activity);
        await worker.release();
        await worker.change({ holdAfter: [activity] });
        await worker.held(activity);
        assert.equal((await harbour.yard.status(handle)).canary?.step, 2);
        await abort(handle, activity);
        await worker.release();
        assert.equal((await harbour.yard.failure(handle)).type, 'Aborted');
        await assertUndone(handle, 'failed');
      });
    }
  });

  test('superseded in its takeover, it is undone before the other one starts, and no request is lost', async () => {
    const { harbour, model, worker } = dock;
    const first = await harbour.newer(model, { greeting: 'Superseded' });
    let release = '';
    const { answers } = await harbour.losesNone(
      model,
      async () => {
        await worker.change({ holdAfter: ['promote'] });
        const handle = await harbour.yard.deploy(first);
        await worker.held('promote');
        await worker.change({});
        const second = await harbour.newer(model, { greeting: 'Superseding' });
        const other = await harbour.yard.deploy({ ...second, onConflict: 'supersede' });
        await assert.rejects(handle.result());
        await assertUndone(handle, 'cancelled');
        ({ release } = (await other.result()) as { release: string });
      },
      20,
    );
    assert.deepEqual([...answers.keys()].at(-1), 'Superseding, Ada!');
    await harbour.assertOnly(model, release, 2);
    await harbour.yard.assertNothingLeft();
  });
});
