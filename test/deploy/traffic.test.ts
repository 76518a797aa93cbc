import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Shipyard } from '../support/deployments.js';
import { greeterWeights } from '../support/models.js';
import { Traffic } from '../support/traffic.js';

describe('under 50 requests a second', () => {
  let yard: Shipyard;
  let model: string;
  before(async () => {
    yard = await Shipyard.open();
    model = await yard.greeter('busy', { greeting: 'First' });
    await yard.ship({ model, replicas: 2 });
  });
  after(() => yard.close());

  /** Traffic from well before `act` until well after; no request may fail. */
  async function losesNone(act: () => Promise<unknown>): Promise<Traffic> {
    const ask = async (): Promise<string> => String(await yard.predict(model, 'Ada'));
    const traffic = await Traffic.during(ask, 50, async () => {
      await delay(1_000);
      await act();
      await delay(1_000);
    });
    assert.deepEqual(traffic.failures, []);
    assert.ok(traffic.sent >= 100, `${traffic.sent} requests`);
    return traffic;
  }

  test('a deploy loses no request, and the new release takes over', async () => {
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Second' }), '20260102');
    const { answers } = await losesNone(() => yard.ship({ model, replicas: 2 }));
    assert.deepEqual([...answers.keys()].sort(), ['First, Ada!', 'Second, Ada!']);
  });

  test('a deploy that fails loses no request, and none reaches it', async () => {
    await yard.put(model, 'weights', await greeterWeights({ wrong: true }), '20260103');
    const verify = { samples: [{ input: 'Ada', expect: 'Second, Ada!' }] };
    const { answers } = await losesNone(async () => {
      assert.equal(
        (await yard.failure(await yard.deploy({ model, replicas: 2, verify }))).type,
        'VerificationFailed',
      );
    });
    assert.deepEqual([...answers.keys()], ['Second, Ada!']);
  });

  test('a rollback loses no request', async () => {
    const { answers } = await losesNone(() => yard.ship({ model, rollbackTo: 'previous' }));
    assert.ok(answers.has('First, Ada!'));
  });

  test('a request that takes long is answered by the release that took it, while the route moves away', async () => {
    await yard.put(
      model,
      'weights',
      await greeterWeights({ greeting: 'Slow', hangPredictMs: 4_000 }),
      '20260104',
    );
    const verify = { samples: [], latencyBudget: '30s' };
    await yard.ship({ model, verify });
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Quick' }), '20260105');
    const handle = await yard.deploy({ model });
    const ask = async (): Promise<string> => String(await yard.predict(model, 'Ada'));
    const traffic = await Traffic.during(ask, 2, () => handle.result());
    assert.deepEqual(traffic.failures, []);
    assert.ok(traffic.answers.has('Slow, Ada!'));
  });
});
