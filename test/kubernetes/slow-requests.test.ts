import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import { until } from '../support/until.js';
import { Drydock } from './drydock.js';
import { blueGreen, rolling } from './strategies.js';

/** Milliseconds a prediction takes; less than what a replica that goes is given to answer. */
const hangPredictMs = 18_000;
/** Predictions under way while their replicas are replaced, enough that each of these has some. */
const count = 6;

/** What is held, so that predictions are under way when it begins: that by which replicas lose their traffic. */
const takeovers = [
  { ...rolling, activity: 'roll' },
  { ...blueGreen, activity: 'promote' },
] as const;

describe('predictions that take long, while their replicas are replaced on Kubernetes', () => {
  const dock = Drydock.here();

  for (const { strategy, activity } of takeovers)
    test(`${strategy.kind}: each is answered whole by the replica that took it`, async () => {
      const { harbour, model, worker } = dock;
      await worker.change({});
      await harbour.retrain(model, { greeting: 'Slow', hangPredictMs });
      const verify = { samples: [], latencyBudget: '60s' };
      await harbour.yard.ship(harbour.request(model, { verify }));
      await harbour.yard.untilFree(model);

      const request = await harbour.newer(model, { greeting: 'Quick' }, { strategy });
      await worker.change({ holdBefore: [activity] });
      const handle = await harbour.yard.deploy(request);
      await worker.held(activity);
      let answered = 0;
      const slow = Array.from({ length: count }, async () => {
        const answer = await harbour.yard.predict(model, 'Ada');
        answered += 1;
        return answer;
      });
      await worker.release();
      await until(async () => ((await ending()) ? true : null));
      assert.ok(answered < count, 'replicas are told to go while predictions are under way');
      assert.deepEqual(await Promise.all(slow), Array<string>(count).fill('Slow, Ada!'));
      await handle.result();
      assert.equal(await harbour.yard.predict(model, 'Ada'), 'Quick, Ada!');
      await harbour.yard.untilFree(model);
      await harbour.yard.assertNothingLeft(60_000);
    });

  /** Whether pods of the service are on their way out. */
  async function ending(): Promise<boolean> {
    const { harbour, model } = dock;
    const found = await harbour.kubectl('get', 'pods', '-l', `slipway.dev/service=${model}`, '-o', 'json');
    const { items } = JSON.parse(found) as { items: V1Pod[] };
    return items.some(({ metadata }) => metadata?.deletionTimestamp !== undefined);
  }
});
