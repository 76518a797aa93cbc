import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FaultWorker } from '../support/faults.js';
import { Harbour } from '../support/harbour.js';
import { killComponent, repair } from '../support/stack.js';
import { strategies } from './strategies.js';

describe('under 100 requests a second on Kubernetes', () => {
  let harbour: Harbour;
  before(async () => {
    harbour = await Harbour.open();
  });
  after(() => harbour.close());

  /** A service that says Hello, with newer weights. */
  async function serving(newer: Parameters<Harbour['retrain']>[1]): Promise<string> {
    const model = await harbour.serving();
    await harbour.retrain(model, newer);
    return model;
  }
  const verify = { samples: [{ input: 'Ada', expect: 'Bye, Ada!' }] };

  for (const { strategy, aborts, kills } of strategies) {
    test(`${strategy.kind}: an upgrade loses no request, and old and new both answer`, async () => {
      const model = await serving({ greeting: 'Bye' });
      let release = '';
      const { answers } = await harbour.losesNone(model, async () => {
        ({ release } = await harbour.yard.ship(harbour.request(model, { strategy, verify })));
      });
      assert.deepEqual([...answers.keys()].sort(), ['Bye, Ada!', 'Hello, Ada!']);
      await harbour.assertOnly(model, release, 2);
      await harbour.yard.assertNothingLeft();
    });

    test(`${strategy.kind}: a poisoned model is taken back, and no request reaches it`, async () => {
      const model = await serving({ wrong: true });
      const objects = await harbour.objects(model);
      const { answers } = await harbour.losesNone(model, async () => {
        const handle = await harbour.yard.deploy(harbour.request(model, { strategy }));
        assert.equal((await harbour.yard.failure(handle)).type, 'VerificationFailed');
      });
      assert.deepEqual([...answers.keys()], ['Hello, Ada!']);
      assert.deepEqual(await harbour.objects(model), objects);
      await harbour.yard.assertNothingLeft();
    });

    describe(`${strategy.kind}, with faults`, () => {
      before(() => killComponent('worker', 'SIGTERM'));
      after(() => repair());

      test('aborted after each activity, the release before serves on, and nothing is left', async () => {
        const worker = await FaultWorker.start();
        const model = await serving({ greeting: 'Bye' });
        const objects = await harbour.objects(model);
        await worker.end('SIGTERM');
        for (const activity of aborts) {
          const held = await FaultWorker.start({ holdAfter: [activity] });
          try {
            await harbour.losesNone(model, async () => {
              const handle = await harbour.yard.deploy(harbour.request(model, { strategy, verify }));
              await held.held(activity);
              await handle.executeUpdate('abort', { args: [{ by: 'test', reason: activity }] });
              await held.release();
              assert.equal((await harbour.yard.failure(handle)).type, 'Aborted', activity);
            });
            assert.equal(await harbour.yard.predict(model, 'Ada'), 'Hello, Ada!', activity);
            assert.deepEqual(await harbour.objects(model), objects, activity);
            await harbour.yard.assertNothingLeft();
          } finally {
            await held.release();
            await held.end('SIGTERM');
          }
        }
      });

      if (kills.length === 0) return;
      test('the worker killed after each activity: the next one goes on, no request is lost', async () => {
        let worker = await FaultWorker.start();
        const model = await serving({ greeting: 'Bye' });
        await worker.end('SIGTERM');
        worker = await FaultWorker.start({ holdAfter: kills });
        try {
          await harbour.losesNone(model, async () => {
            const handle = await harbour.yard.deploy(harbour.request(model, { strategy, verify }));
            for (const activity of kills) {
              await worker.held(activity);
              await worker.end('SIGKILL');
              worker = await FaultWorker.start({ holdAfter: kills });
            }
            await worker.release();
            await handle.result();
          });
          assert.equal(await harbour.yard.predict(model, 'Ada'), 'Bye, Ada!');
          await harbour.yard.untilFree(model);
          await delay(500);
          await harbour.yard.assertNothingLeft();
        } finally {
          await worker.release();
          await worker.end('SIGTERM');
        }
      });
    });
  }
});
