import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { AbortAnswer } from '../../contract/deployment.js';
import { FaultWorker } from '../support/faults.js';
import { Drydock } from './drydock.js';
import type { Plan } from './strategies.js';

/** What must not lose a request, whatever becomes of the deployment; in an order in which little is shipped only to begin. */
export function underTraffic({ strategy, aborts, kills }: Plan): void {
  describe(`${strategy.kind} on Kubernetes, under 100 requests a second`, () => {
    const dock = Drydock.here();

    test('a poisoned model is taken back, and no request reaches it', async () => {
      const { harbour, model } = dock;
      await harbour.retrain(model, { wrong: true });
      const objects = await harbour.objects(model);
      const { answers } = await harbour.losesNone(model, async () => {
        const handle = await harbour.yard.deploy(harbour.request(model, { strategy }));
        assert.equal((await harbour.yard.failure(handle)).type, 'VerificationFailed');
      });
      assert.deepEqual([...answers.keys()], ['Hello, Ada!']);
      assert.deepEqual(await harbour.objects(model), objects);
      await harbour.yard.assertNothingLeft();
    });

    for (const activity of aborts)
      test(`aborted after ${activity}, the release before serves on, and nothing is left`, async () => {
        const { harbour, model, worker } = dock;
        const request = await harbour.newer(model, { greeting: 'Bye' }, { strategy });
        const objects = await harbour.objects(model);
        await worker.change({ holdAfter: [activity] });
        await harbour.losesNone(model, async () => {
          const handle = await harbour.yard.deploy(request);
          await worker.held(activity);
          const by = { by: 'test', reason: activity };
          const answer = await handle.executeUpdate<AbortAnswer, [object]>('abort', { args: [by] });
          assert.equal(answer.requested, true);
          await worker.release();
          assert.equal((await harbour.yard.failure(handle)).type, 'Aborted');
        });
        assert.equal(await harbour.yard.predict(model, 'Ada'), 'Hello, Ada!');
        assert.deepEqual(await harbour.objects(model), objects);
        await harbour.yard.assertNothingLeft();
      });

    test('an upgrade loses no request, and old and new both answer', async () => {
      const { harbour, model } = dock;
      const request = await harbour.newer(model, { greeting: 'Bye' }, { strategy });
      let release = '';
      const { answers } = await harbour.losesNone(model, async () => {
        ({ release } = await harbour.yard.ship(request));
      });
      assert.deepEqual([...answers.keys()].sort(), ['Bye, Ada!', 'Hello, Ada!']);
      await harbour.assertOnly(model, release, 2);
      await harbour.yard.assertNothingLeft();
    });

    test(`the worker killed after ${kills.join(', ')}: the next one goes on`, async () => {
      const { harbour, model } = dock;
      const request = await harbour.newer(model, { greeting: 'Welcome back' }, { strategy });
      await dock.worker.change({ holdAfter: kills });
      await harbour.losesNone(model, async () => {
        const handle = await harbour.yard.deploy(request);
        for (const activity of kills) {
          await dock.worker.held(activity);
          await dock.worker.end('SIGKILL');
          dock.worker = await FaultWorker.start({ holdAfter: kills });
        }
        await dock.worker.release();
        await handle.result();
      });
      assert.equal(await harbour.yard.predict(model, 'Ada'), 'Welcome back, Ada!');
      await harbour.yard.untilFree(model);
      await delay(500);
      await harbour.yard.assertNothingLeft();
    });
  });
}
