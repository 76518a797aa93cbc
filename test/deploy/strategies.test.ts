import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import Docker from 'dockerode';
import type { DeployRequest } from '../../contract/deploy.js';
import type { DeploymentStatus } from '../../contract/deployment.js';
import { labels } from '../../contract/serving.js';
import { engineOptions } from '../../platform/targets/engine.js';
import { Prometheus } from '../analysis/prometheus-server.js';
import { Shipyard } from '../support/deployments.js';
import { poisonableSource, poisonedWeights, type Poison } from '../support/poison.js';
import { Traffic } from '../support/traffic.js';
import { killComponent, repair } from '../support/stack.js';

type Canary = Extract<DeployRequest['strategy'], { kind: 'canary' }>;

describe('strategies on Docker, under 50 requests a second', () => {
  let yard: Shipyard;
  let model: string;
  let date = 20260100;
  before(async () => {
    yard = await Shipyard.open();
    model = yard.name('canary');
    await yard.put(model, 'source', await poisonableSource());
    await upload('First');
    await yard.ship({ model, verify });
  });
  after(() => yard.close());

  const verify = { samples: [{ input: 'Bob' }] };
  const upload = async (greeting: string, poison: Poison = {}): Promise<void> =>
    yard.put(model, 'weights', await poisonedWeights(greeting, poison), String((date += 1)));
  const deploy = (strategy: DeployRequest['strategy']): Promise<WorkflowHandle> =>
    yard.deploy({ model, verify, strategy });
  const canary = (steps: Canary['steps'], analysis: Canary['analysis'] = {}): Canary => ({
    kind: 'canary',
    steps,
    analysis: { patience: '3s', ...analysis },
  });

  async function statusWhen(
    handle: WorkflowHandle,
    is: (status: DeploymentStatus) => boolean,
    budget = 120_000,
  ): Promise<DeploymentStatus> {
    for (const end = Date.now() + budget; ; await delay(100)) {
      const status = await yard.status(handle);
      if (is(status)) return status;
      assert.ok(Date.now() < end && !status.failure, `${status.step} ${JSON.stringify(status.failure)}`);
    }
  }

  const containers = async (): Promise<number> => {
    const docker = new Docker(engineOptions(yard.stack.docker));
    const label = [`${labels.stack}=${yard.stack.name}`, `${labels.service}=${model}`];
    return (await docker.listContainers({ filters: { label } })).length;
  };

  const inStep = (handle: WorkflowHandle, step: number, state = 'running') =>
    statusWhen(
      handle,
      (it) => it.canary?.step === step && it.state === state && !it.step.endsWith('on its way'),
    );

  /** Traffic all the while; answers it when `act` is done. */
  async function under(act: (traffic: Traffic) => Promise<unknown>): Promise<Traffic> {
    const ask = async (): Promise<string> => String(await yard.predict(model, 'Ada'));
    return await Traffic.during(ask, 50, async (traffic) => {
      await act(traffic);
      await delay(500);
    });
  }

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

  /** The release before serves, alone, and nothing is left of the one that did not come through. */
  async function servesAsBefore(answer: string): Promise<void> {
    for (let i = 0; i < 20; i += 1) assert.equal(await yard.predict(model, 'Ada'), answer);
    await yard.assertNothingLeft();
  }

  test('a canary gets the share of its step, can be paused, resumed and skipped, and takes over', async () => {
    await upload('Second');
    const traffic = await under(async (traffic) => {
      const handle = await deploy(
        canary([
          { weight: 20, pause: true },
          { weight: 60, for: '1h' },
          { weight: 100, for: '2s' },
        ]),
      );
      const { canary: stands } = await inStep(handle, 1, 'paused');
      assert.deepEqual(stands, { step: 1, steps: 3, weight: 20, paused: true });
      isAbout(await share(traffic, 'Second, Ada!'), 20);
      await handle.executeUpdate('resume');
      await inStep(handle, 2);
      isAbout(await share(traffic, 'Second, Ada!'), 60);
      await handle.executeUpdate('pause');
      await inStep(handle, 2, 'paused');
      await handle.executeUpdate('resume');
      await inStep(handle, 2);
      await handle.executeUpdate('skip', { args: [{ by: 'ann' }] });
      await handle.result();
    });
    assert.deepEqual(traffic.failures, []);
    await servesAsBefore('Second, Ada!');
  });

  test('a canary that answers with errors is taken back within its step', async () => {
    await upload('Third', { diesOf: 'Ada' });
    let began = 0;
    const traffic = await under(async () => {
      const handle = await deploy(canary([{ weight: 20, for: '1h' }]));
      await statusWhen(handle, (it) => it.canary !== undefined);
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
    await servesAsBefore('Second, Ada!');
  });

  test('a canary that is slow under traffic is taken back, and no request is lost', async () => {
    await upload('Fourth', { dawdlesAt: 'Ada' });
    const traffic = await under(async () => {
      const handle = await deploy(canary([{ weight: 20, for: '1h' }], { latency: { max: '200ms' } }));
      const { type, message } = await yard.failure(handle);
      assert.equal(type, 'VerificationFailed');
      assert.match(message, /latency p95: .* wanted at most 200ms/);
    });
    assert.deepEqual(traffic.failures, []);
    await servesAsBefore('Second, Ada!');
  });

  test('a canary that predicts otherwise than the live release is taken back', async () => {
    await upload('Fifth');
    const traffic = await under(async () => {
      const handle = await deploy(canary([{ weight: 20, for: '1h' }], { difference: 0 }));
      const { type, message } = await yard.failure(handle);
      assert.equal(type, 'VerificationFailed');
      assert.match(message, /difference .*: sample 1: "Fifth, Bob!" instead of "Second, Bob!"/);
    });
    assert.deepEqual(traffic.failures, []);
    await servesAsBefore('Second, Ada!');
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
      const good = await under(async () => {
        await (await deploy(canary([{ weight: 50, for: '5s' }], analysis))).result();
      });
      assert.deepEqual(good.failures, []);
      await yard.ship({ model, rollbackTo: 'previous' });
      await upload('Sour', { diesOf: 'Ada' });
      await under(async () => {
        const handle = await deploy(canary([{ weight: 50, for: '1h' }], analysis));
        const { type, message } = await yard.failure(handle);
        assert.equal(type, 'VerificationFailed');
        assert.match(message, /with 50 % of the traffic: answered: 0, wanted at least 0\.9/);
      });
    } finally {
      await prometheus.stop();
    }
    await servesAsBefore('Second, Ada!');
    await upload('Fifth');
  });

  test('a canary that nobody asks is not taken for a good one', async () => {
    const handle = await deploy(canary([{ weight: 50, for: '1s' }]));
    const { type, message } = await yard.failure(handle);
    assert.equal(type, 'VerificationFailed');
    assert.match(message, /success rate: no measurement: 0 of 10 requests, 3s after the step's time/);
    await servesAsBefore('Second, Ada!');
  });

  test('a canary is aborted in its step, and cancelled in its step, without a lost request', async () => {
    const traffic = await under(async () => {
      for (const end of ['abort', 'cancel'] as const) {
        const handle = await deploy(canary([{ weight: 50, for: '1h' }]));
        await inStep(handle, 1);
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
    await servesAsBefore('Second, Ada!');
  });

  test('a canary whose worker is killed goes on, and its step ends when it would have', async () => {
    const traffic = await under(async () => {
      const handle = await deploy(canary([{ weight: 50, for: '40s' }]));
      await inStep(handle, 1);
      const began = Date.now();
      await killComponent('worker', 'SIGKILL');
      await repair();
      await statusWhen(handle, (it) => it.canary === undefined || it.step === 'taking over');
      const took = Date.now() - began;
      assert.ok(took > 35_000 && took < 52_000, `its step of 40 s took ${took} ms`);
      await handle.result();
    });
    assert.deepEqual(traffic.failures, []);
    await servesAsBefore('Fifth, Ada!');
  });

  test('a canary whose catalog is away for a while is judged once it is back', async () => {
    await upload('Interlude');
    const traffic = await under(async () => {
      const handle = await deploy(canary([{ weight: 50, for: '6s' }], { patience: '1m' }));
      await inStep(handle, 1);
      await killComponent('postgres', 'SIGKILL');
      await delay(8_000);
      assert.equal((await yard.status(handle)).canary?.step, 1);
      await repair();
      await handle.result();
    });
    assert.deepEqual(traffic.failures, []);
    await servesAsBefore('Interlude, Ada!');
    await yard.ship({ model, rollbackTo: 'previous' });
  });

  test('blue-green keeps what served: going back is instant, and its time over it is tidied', async () => {
    await upload('Sixth');
    const traffic = await under(async () => {
      await (await deploy({ kind: 'blueGreen', keep: '20m' })).result();
      const back = await yard.deploy({ model, rollbackTo: 'previous' });
      await back.result();
      const { stages } = await yard.status(back);
      assert.equal(stages.find(({ name }) => name === 'rollout')?.detail, 'its replicas are still there');
      assert.equal(await yard.predict(model, 'Ada'), 'Fifth, Ada!');
      await yard.assertNothingLeft();
      await (await deploy({ kind: 'blueGreen', keep: '5s' })).result();
      await yard.untilFree(model);
      for (const end = Date.now() + 90_000; (await containers()) > 1; await delay(500))
        assert.ok(Date.now() < end, 'the kept replica is still there');
    });
    assert.deepEqual(traffic.failures, []);
    await servesAsBefore('Sixth, Ada!');
    // Its replicas are gone by now: they are started anew.
    const back = await yard.deploy({ model, rollbackTo: 'previous' });
    await back.result();
    const { stages } = await yard.status(back);
    assert.equal(stages.find(({ name }) => name === 'rollout')?.detail, '1 of 1 ready');
    await servesAsBefore('Fifth, Ada!');
  });
});
