import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import { Traffic } from '../support/traffic.js';
import { Balancer } from './balancer.js';
import { acknowledged, routeTo, TestGateway, Upstream } from './fixtures.js';
import { GatewayWorld } from './world.js';

describe('the gateway under steady traffic', () => {
  let world: GatewayWorld;
  let second: TestGateway;
  before(async () => {
    world = await GatewayWorld.open();
    second = await TestGateway.start({ catalog: async () => world.catalog });
  });
  after(async () => {
    await second.close();
    await world.close();
  });

  test('200 requests a second: none is lost though each old replica is killed once the move is acknowledged', async () => {
    // Long enough for many to be in flight when the route moves.
    const replica = (name: string): Promise<Upstream> =>
      Upstream.start(name, async (request, response) => {
        for await (const _ of request);
        await delay(150);
        response.end(name);
      });
    let serving = [await replica('0'), await replica('0')];
    await acknowledged(
      world.catalog,
      (
        await routeTo(
          world.catalog,
          'busy',
          serving.map(({ url }) => url),
        )
      ).version,
    );
    const pools = [world.gateway, second].map(({ url }) => new Pool(url));
    let turn = 0;
    const ask = async (): Promise<string> => {
      const { statusCode, body } = await pools[(turn += 1) % 2]!.request({
        method: 'POST',
        path: '/v1/models/busy/predict',
        headers: { 'content-type': 'application/json' },
        body: '{"input":1}',
      });
      const text = await body.text();
      if (statusCode !== 200) throw new Error(`${statusCode} ${text}`);
      return text;
    };
    const replaceAll = async (): Promise<void> => {
      for (let round = 1; round <= 8; round += 1) {
        await delay(400);
        const next = [await replica(`${round}`), await replica(`${round}`)];
        const { version } = await routeTo(
          world.catalog,
          'busy',
          next.map(({ url }) => url),
        );
        await acknowledged(world.catalog, version);
        const before = serving.map(({ requests }) => requests.length);
        // Nothing is in flight to them by now: no grace is needed.
        await Promise.all(serving.map((upstream) => upstream.kill()));
        assert.deepEqual(
          serving.map(({ requests }) => requests.length),
          before,
        );
        serving = next;
      }
    };
    const traffic = await Traffic.during(ask, 200, replaceAll);
    assert.deepEqual(traffic.failures, []);
    assert.ok(traffic.sent > 600, `${traffic.sent} requests`);
    assert.equal(traffic.answers.size, 9);
    await Promise.all([...pools.map((pool) => pool.close()), ...serving.map((upstream) => upstream.kill())]);
  });

  test('weights, undo and shift under 100 requests a second: none is lost', async () => {
    const service = world.service();
    const [old, fresh] = [await world.upstream('old'), await world.upstream('new')];
    await world.route(service, old.url);
    const ask = async (): Promise<string> => String(await world.gateway.output(service));
    const traffic = await Traffic.during(ask, 100, async () => {
      const { grant } = await world.weigh(service, 10, [fresh.url]);
      await delay(300);
      const { undo } = await world.weigh(service, 50, [fresh.url], grant);
      await delay(300);
      await undo();
      // Acknowledged: nothing is in flight to it any more.
      const before = fresh.requests.length;
      await fresh.kill();
      await delay(300);
      assert.equal(fresh.requests.length, before);
      const third = await world.upstream('third');
      await world.weigh(service, 30, [third.url]);
      await delay(300);
      const { version } = await world.route(service, third.url);
      await acknowledged(world.catalog, version);
      await old.kill();
      await delay(300);
    });
    assert.deepEqual(traffic.failures, []);
    assert.deepEqual([...traffic.answers.keys()].toSorted(), ['new', 'old', 'third']);
  });

  test('each gets its share of 100 requests a second, also one that comes later', async (t) => {
    const service = world.service();
    const behind = await Promise.all(['1', '2', '3'].map((name) => world.upstream(name)));
    const balancer = await Balancer.start(t, behind);
    await world.route(service, balancer.url);
    const shares = async (): Promise<Map<string, number>> => {
      const ask = async (): Promise<string> => String(await world.gateway.output(service));
      const traffic = await Traffic.during(ask, 100, () => delay(8_000));
      assert.deepEqual(traffic.failures, []);
      return new Map([...traffic.answers].map(([name, count]) => [name, count / traffic.sent]));
    };
    // Connections come to each in turn; how many requests one carries differs.
    for (const [name, share] of await shares())
      assert.ok(share > 0.12 && share < 0.55, `${name} has ${share}`);
    behind.push(await world.upstream('4'));
    const share = (await shares()).get('4') ?? 0;
    assert.ok(share > 0.06 && share < 0.45, `the new one has ${share}`);
  });
});
