import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Drydock } from './drydock.js';
import { strategies } from './strategies.js';

describe('on Kubernetes, every activity acts and its first reply is lost', () => {
  const dock = Drydock.here({ loseFirstReply: 'all' });

  test('a release that fails is undone once, and the release before serves', async () => {
    const { harbour, model } = dock;
    await harbour.retrain(model, { wrong: true });
    const objects = await harbour.objects(model);
    const failing = await harbour.yard.deploy(harbour.request(model));
    assert.equal((await harbour.yard.failure(failing)).type, 'VerificationFailed');
    assert.deepEqual(await harbour.objects(model), objects);
    await harbour.yard.assertNothingLeft();
  });

  for (const { strategy } of strategies)
    test(`${strategy.kind} comes out as if nothing had happened`, async () => {
      const { harbour, model } = dock;
      const greeting = `Bye ${strategy.kind}`;
      const request = await harbour.newer(model, { greeting }, { strategy });
      await harbour.losesNone(model, () => harbour.yard.ship(request));
      assert.equal(await harbour.yard.predict(model, 'Ada'), `${greeting}, Ada!`);
      await harbour.yard.assertNothingLeft();
    });

  test('every activity that changes the cluster has lost a reply', async () => {
    const lost = await dock.worker.lost();
    for (const activity of ['rollout', 'verify', 'roll', 'share', 'promote', 'shift', 'undoEffect'])
      assert.ok(lost.includes(activity), activity);
  });
});
