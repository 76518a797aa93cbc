import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Drydock } from './drydock.js';
import { outageIn, servers } from './outage.js';

describe('servers killed and started again in every step of an undo on Kubernetes', () => {
  const dock = Drydock.here();

  test(`${servers.join(', ')} and the apiserver at once: all of it is taken back`, async () => {
    const { harbour, model, worker } = dock;
    const request = await harbour.newer(model, { greeting: 'Bye' });
    const objects = await harbour.objects(model);
    await worker.change({ holdBefore: ['shift', 'beginUndo', 'openEffects', 'undoEffect', 'closeGrant'] });
    const handle = await harbour.yard.deploy(request);
    await worker.held('shift');
    const by = { by: 'test', reason: 'to be undone' };
    await handle.executeUpdate('abort', { args: [by] });
    for (const activity of ['beginUndo', 'openEffects'] as const) await outageIn(worker, activity);
    // Traffic, route, tag and workload: all of the servers have their part in one of them.
    for (let step = 1; step <= 4; step += 1) await outageIn(worker, 'undoEffect');
    await worker.release('undoEffect');
    await outageIn(worker, 'closeGrant');
    assert.equal((await harbour.yard.failure(handle)).type, 'Aborted');
    const { undo } = await harbour.yard.status(handle);
    assert.ok(
      undo.every(({ state }) => state === 'undone'),
      JSON.stringify(undo),
    );
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Hello, Ada!');
    await harbour.yard.untilFree(model);
    assert.deepEqual(await harbour.objects(model), objects);
    await harbour.yard.assertNothingLeft(120_000);
  });
});
