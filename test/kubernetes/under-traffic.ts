import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AbortAnswer } from '../../contract/deployment.js';
import { Drydock } from './drydock.js';
import { usualRate } from '../support/traffic.js';
import type { Plan } from './strategies.js';

/** Requests a second that tell how many are lost. */
const many = 100;

/** What must not lose a request, whatever becomes of the deployment; in an order in which little is shipped only to begin. */
export function underTraffic({ strategy, aborts, kills }: Omit<Plan, 'all'>, perSecond = usualRate): void {
  describe(`${strategy.kind} on Kubernetes, under ${perSecond} requests a second`, () => {
    const dock = Drydock.here();

    test('a poisoned model is taken back, and no request reaches it', async () => {
      const { harbour, model } = dock;
      await harbour.retrain(model, { wrong: true });
      const objects = await harbour.objects(model);
      const poison = async () => {
        const handle = await harbour.yard.deploy(harbour.request(model, { strategy }));
        assert.equal((await harbour.yard.failure(handle)).type, 'VerificationFailed');
      };
      const { answers } = await harbour.losesNone(model, poison, perSecond);
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
        const abort = async () => {
          const handle = await harbour.yard.deploy(request);
          await worker.held(activity);
          const by = { by: 'test', reason: activity };
          const answer = await handle.executeUpdate<AbortAnswer, [object]>('abort', { args: [by] });
          assert.equal(answer.requested, true);
          await worker.release();
          assert.equal((await harbour.yard.failure(handle)).type, 'Aborted');
        };
        await harbour.losesNone(model, abort, perSecond);
        assert.equal(await harbour.yard.predict(model, 'Ada'), 'Hello, Ada!');
        assert.deepEqual(await harbour.objects(model), objects);
        await harbour.yard.assertNothingLeft();
      });

    test(`the worker killed after ${kills.join(', ')}: the next one goes on`, async () => {
      const { harbour, model } = dock;
      const request = await harbour.newer(model, { greeting: 'Welcome back' }, { strategy });
      await dock.worker.change({ holdAfter: kills });
      const killed = async () => {
        const handle = await harbour.yard.deploy(request);
        for (const activity of kills) {
          await dock.worker.held(activity);
          await dock.worker.end('SIGKILL');
          await dock.work({ holdAfter: kills });
        }
        await dock.worker.release();
        await handle.result();
      };
      await harbour.losesNone(model, killed, perSecond);
      assert.equal(await harbour.yard.predict(model, 'Ada'), 'Welcome back, Ada!');
      await harbour.yard.untilFree(model);
      await harbour.yard.assertNothingLeft();
    });
  });
}

/** One upgrade by each of these, with as many requests as tell how many are lost. */
export function upgradesUnderTraffic(plans: readonly Pick<Plan, 'strategy'>[]): void {
  describe(`upgrades on Kubernetes, under ${many} requests a second`, () => {
    const dock = Drydock.here();

    for (const { strategy } of plans)
      test(`${strategy.kind} loses no request, and old and new both answer`, async () => {
        const { harbour, model } = dock;
        const before = String(await harbour.yard.predict(model, 'Ada'));
        const greeting = `Bye by ${strategy.kind}`;
        const request = await harbour.newer(model, { greeting }, { strategy });
        let release = '';
        const upgrade = async () => {
          ({ release } = await harbour.yard.ship(request));
        };
        const { answers } = await harbour.losesNone(model, upgrade, many);
        assert.deepEqual([...answers.keys()].sort(), [`${greeting}, Ada!`, before].sort());
        await harbour.assertOnly(model, release, 2);
        await harbour.yard.assertNothingLeft();
      });
  });
}
