import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import Docker from 'dockerode';
import { labels } from '../../contract/serving.js';
import { engineOptions } from '../../platform/targets/engine.js';
import { Prometheus } from '../analysis/prometheus-server.js';
import { Shipyard } from '../support/deployments.js';
import type { Traffic } from '../support/traffic.js';
import { Canaries, canary } from './canaries.js';

describe('strategies on Docker, under 50 requests a second', () => {
  let yard: Shipyard;
  let model: string;
  let canaries: Canaries;
  before(async () => {
    yard = await Shipyard.open();
    canaries = await Canaries.open(yard);
    ({ model } = canaries);
  });
  after(() => yard.close());

  const containers = async (): Promise<number> => {
    const docker = new Docker(engineOptions(yard.stack.docker));
    const label = [`${labels.stack}=${yard.stack.name}`, `${labels.service}=${model}`];
    return (await docker.listContainers({ filters: { label } })).length;
  };

  /** Percent of the requests of the next seconds that are answered so. */
  async function share(traffic: Traffic, answer: string): Promise<number> {
    const counts = () => ({
      those: traffic.answers.get(answer) ?? 0,
      all: [...traffic.answers.values()].reduce((sum, count) => sum + count, 0),
    });
    const [earlier] = [counts(), await delay(5_000)];
    const later = counts();
    return (100 * (later.those - earlier.those)) / (later.all - earlier.all);
  }

  const isAbout = (got: number, wanted: number): void =>
    assert.ok(Math.abs(got - wanted) <= 8, `${got} % of the requests instead of ${wanted} %`);

  test('a canary gets the share of its step, can be paused, resumed and skipped, and takes over', async () => {
    await canaries.upload('Second');
    const traffic = await canaries.under(async (traffic) => {
      const handle = await canaries.deploy(
        canary([
          { weight: 20, pause: true },
          { weight: 60, for: '1h' },
          { weight: 100, for: '2s' },
        ]),
      );
      const { canary: stands } = await canaries.inStep(handle, 1, 'paused');
      assert.deepEqual(stands, { step: 1, steps: 3, weight: 20, paused: true });
      isAbout(await share(traffic, 'Second, Ada!'), 20);
      await handle.executeUpdate('resume');
      await canaries.inStep(handle, 2);
      isAbout(await share(traffic, 'Second, Ada!'), 60);
      await handle.executeUpdate('pause');
      await canaries.inStep(handle, 2, 'paused');
      await handle.executeUpdate('resume');
      await canaries.inStep(handle, 2);
      await handle.executeUpdate('skip', { args: [{ by: 'ann' }] });
      await handle.result();
    });
    assert.deepEqual(traffic.failures, []);
    await canaries.servesAsBefore('Second, Ada!');
  });

  test('a canary that answers with errors is taken back within its step', async () => {
    await canaries.upload('Third', { diesOf: 'Ada' });
    let began = 0;
    const traffic = await canaries.under(async () => {
      const handle = await canaries.deploy(canary([{ weight: 20, for: '1h' }]));
      await canaries.statusWhen(handle, (it) => it.canary !== undefined);
      began = Date.now();
      const { type, message, details } = await yard.failure(handle);
      assert.equal(type, 'VerificationFailed');
      assert.match(message, /with 20 % of the traffic: success rate: 0 %, wanted at least 99 %; .*\(live: /);
      const { check, measured, release } = details![0] as Record<string, unknown>;
      assert.deepEqual([check, measured, release], ['success rate', '0 %', `${model}.r3`]);
    });
    assert.ok(Date.now() - began < 40_000, `it took ${Date.now() - began} ms`);
    assert.ok(traffic.failures.length > 0, 'the canary did answer some');
    assert.ok(traffic.failures.every((failure) => failure.includes('500')));
    await canaries.servesAsBefore('Second, Ada!');
  });

  test('a canary that is slow under traffic is taken back, and no request is lost', async () => {
    await canaries.upload('Fourth', { dawdlesAt: 'Ada' });
    const traffic = await canaries.under(async () => {
      const handle = await canaries.deploy(
        canary([{ weight: 20, for: '1h' }], { latency: { max: '200ms' } }),
      );
      const { type, message } = await yard.failure(handle);
      assert.equal(type, 'VerificationFailed');
      assert.match(message, /latency p95: .* wanted at most 200ms/);
    });
    assert.deepEqual(traffic.failures, []);
    await canaries.servesAsBefore('Second, Ada!');
  });

  test('a canary that predicts otherwise than the live release is taken back', async () => {
    await canaries.upload('Fifth');
    const traffic = await canaries.under(async () => {
      const handle = await canaries.deploy(canary([{ weight: 20, for: '1h' }], { difference: 0 }));
      const { type, message } = await yard.failure(handle);
      assert.equal(type, 'VerificationFailed');
      assert.match(message, /difference .*: sample 1: "Fifth, Bob!" instead of "Second, Bob!"/);
    });
    assert.deepEqual(traffic.failures, []);
    await canaries.servesAsBefore('Second, Ada!');
  });

  test('a canary is judged by what a Prometheus has scraped of the gateway', async () => {
    const prometheus = await Prometheus.start(new URL(yard.stack.gateway).host);
    const ok = (status = '') =>
      `sum(rate(slipway_gateway_requests_total{service="{{service}}",release="{{release}}"${status}}[10s]))`;
    // A status that never came has no series: without the zero there would be no measurement.
    const query = `(${ok(',status="200"')} or vector(0)) / ${ok()}`;
    const checks = [{ name: 'answered', query, min: 0.9 }];
    // Its own figures would be content with anything.
    const analysis = { successRate: 0, patience: '30s', prometheus: { url: prometheus.url, checks } };
    try {
      const good = await canaries.under(async () => {
        await (await canaries.deploy(canary([{ weight: 50, for: '5s' }], analysis))).result();
      });
      assert.deepEqual(good.failures, []);
      await yard.ship({ model, rollbackTo: 'previous' });
      await canaries.upload('Sour', { diesOf: 'Ada' });
      await canaries.under(async () => {
        const handle = await canaries.deploy(canary([{ weight: 50, for: '1h' }], analysis));
        const { type, message } = await yard.failure(handle);
        assert.equal(type, 'VerificationFailed');
        assert.match(message, /with 50 % of the traffic: answered: 0, wanted at least 0\.9/);
      });
    } finally {
      await prometheus.stop();
    }
    await canaries.servesAsBefore('Second, Ada!');
    await canaries.upload('Fifth');
  });

  test('a canary that nobody asks is not taken for a good one', async () => {
    const handle = await canaries.deploy(canary([{ weight: 50, for: '1s' }]));
    const { type, message } = await yard.failure(handle);
    assert.equal(type, 'VerificationFailed');
    assert.match(message, /success rate: no measurement: 0 of 10 requests, 3s after the step's time/);
    await canaries.servesAsBefore('Second, Ada!');
  });

  test('a canary is aborted in its step, and cancelled in its step, without a lost request', async () => {
    const traffic = await canaries.under(async () => {
      for (const end of ['abort', 'cancel'] as const) {
        const handle = await canaries.deploy(canary([{ weight: 50, for: '1h' }]));
        await canaries.inStep(handle, 1);
        await delay(1_000);
        if (end === 'cancel') await handle.cancel();
        else assert.deepEqual(await handle.executeUpdate('abort'), { requested: true, state: 'running' });
        await assert.rejects(handle.result());
        const { state, failure } = await yard.status(handle);
        assert.deepEqual(
          [state, failure?.type],
          end === 'abort' ? ['failed', 'Aborted'] : ['cancelled', 'Cancelled'],
        );
      }
    });
    assert.deepEqual(traffic.failures, []);
    await canaries.servesAsBefore('Second, Ada!');
  });

  test('blue-green keeps what served: going back is instant, and its time over it is tidied', async () => {
    await canaries.upload('Sixth');
    const traffic = await canaries.under(async () => {
      await (await canaries.deploy({ kind: 'blueGreen', keep: '20m' })).result();
      const back = await yard.deploy({ model, rollbackTo: 'previous' });
      await back.result();
      const { stages } = await yard.status(back);
      assert.equal(stages.find(({ name }) => name === 'rollout')?.detail, 'its replicas are still there');
      assert.equal(await yard.predict(model, 'Ada'), 'Second, Ada!');
      await yard.assertNothingLeft();
      await (await canaries.deploy({ kind: 'blueGreen', keep: '5s' })).result();
      await yard.untilFree(model);
      for (const end = Date.now() + 90_000; (await containers()) > 1; await delay(500))
        assert.ok(Date.now() < end, 'the kept replica is still there');
    });
    assert.deepEqual(traffic.failures, []);
    await canaries.servesAsBefore('Sixth, Ada!');
    // Its replicas are gone by now: they are started anew.
    const back = await yard.deploy({ model, rollbackTo: 'previous' });
    await back.result();
    const { stages } = await yard.status(back);
    assert.equal(stages.find(({ name }) => name === 'rollout')?.detail, '1 of 1 ready');
    await canaries.servesAsBefore('Second, Ada!');
  });
});
