import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Upstream } from './fixtures.js';
import { GatewayWorld } from './world.js';

describe('the traffic is divided by weight', () => {
  let world: GatewayWorld;
  let service: string;
  let old: Upstream;
  let fresh: Upstream;
  before(async () => {
    world = await GatewayWorld.open();
  });
  after(async () => {
    await world.close();
  });
  beforeEach(async () => {
    service = world.service();
    [old, fresh] = [await world.upstream('old'), await world.upstream('new')];
    await world.route(service, old.url);
  });

  async function outputs(count: number): Promise<string[]> {
    const answers: string[] = [];
    while (answers.length < count) answers.push(String(await world.gateway.output(service)));
    return answers;
  }
  const countOf = (answers: string[], name: string): number =>
    answers.filter((answer) => answer === name).length;

  for (const weight of [1, 10, 33, 50, 99])
    test(`${weight} % of 200 requests are ${weight * 2}, spread evenly`, async () => {
      await world.weigh(service, weight, [fresh.url]);
      const answers = await outputs(200);
      assert.equal(countOf(answers, 'new'), weight * 2);
      // In any part of them there are as many as the weight says, give or take one.
      for (let from = 0; from < 200; from += 1)
        for (const length of [7, 20, 50, 100])
          if (from + length <= 200) {
            const got = countOf(answers.slice(from, from + length), 'new');
            assert.ok(Math.abs(got - (length * weight) / 100) < 1, `${got} of ${length} from ${from}`);
          }
    });

  test('requests at the same time are divided as exactly', async () => {
    await world.weigh(service, 25, [fresh.url]);
    const answers = await Promise.all(Array.from({ length: 200 }, () => world.gateway.output(service)));
    assert.equal(countOf(answers as string[], 'new'), 50);
  });

  test('0 % are none and 100 % all', async () => {
    const { grant } = await world.weigh(service, 0, [fresh.url]);
    assert.equal(countOf(await outputs(50), 'new'), 0);
    await world.weigh(service, 100, [fresh.url], grant);
    assert.equal(countOf(await outputs(50), 'new'), 50);
  });

  test('each answer names the release that gave it, and the service tells of both', async () => {
    const { release } = await world.weigh(service, 50, [fresh.url]);
    for (let count = 0; count < 20; count += 1) {
      const response = await world.gateway.predict(service);
      const { output } = (await response.json()) as { output: string };
      const named = response.headers.get('x-slipway-release');
      assert.equal(named, output === 'new' ? release : `${service}.r1`);
    }
    const status = await fetch(`${world.gateway.url}/v1/models/${service}`);
    const { version, ...rest } = (await status.json()) as Record<string, unknown>;
    assert.deepEqual(rest, {
      service,
      release: `${service}.r1`,
      replicas: 1,
      canary: { release, replicas: 1, weight: 50 },
    });
    assert.equal(version, (await world.catalog.getRoute(service))?.version);
  });

  test('while one release refuses connections the other one answers, and the division is back with it', async () => {
    const { release } = await world.weigh(service, 40, [fresh.url]);
    await fresh.kill();
    assert.equal(countOf(await outputs(30), 'old'), 30);
    fresh = await world.upstream('new', undefined, fresh.port);
    await delay(1_100);
    assert.equal(countOf(await outputs(100), 'new'), 40);
    await old.kill();
    const response = await world.gateway.predict(service);
    assert.equal(response.headers.get('x-slipway-release'), release);
    assert.equal(countOf(await outputs(30), 'new'), 30);
  });

  test('a release that has no part of the traffic does not answer for the other one', async () => {
    await world.weigh(service, 0, [fresh.url]);
    await old.kill();
    assert.equal((await world.gateway.predict(service)).status, 503);
    assert.equal(fresh.requests.length, 0);
  });

  test('a request that was sent to one release is never sent to the other', async () => {
    const cutting = await world.upstream('cutting', async (request) => {
      for await (const _ of request);
      request.socket.destroy();
    });
    await world.weigh(service, 100, [cutting.url]);
    const response = await world.gateway.predict(service);
    assert.equal(response.status, 502);
    assert.deepEqual([cutting.requests.length, old.requests.length], [1, 0]);
  });
});
