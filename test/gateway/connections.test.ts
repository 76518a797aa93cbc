import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connections } from '../../contract/serving.js';
import { untilTrue } from '../support/until.js';
import { Balancer } from './balancer.js';
import { GatewayWorld } from './world.js';

describe('connections to replicas that share an address', () => {
  let world: GatewayWorld;
  let service: string;
  before(async () => {
    world = await GatewayWorld.open();
  });
  after(async () => {
    await world.close();
  });
  beforeEach(() => {
    service = world.service();
  });

  test('a single client, asking now and then, does not stay with one of them', async (t) => {
    const behind = await Promise.all(['1', '2'].map((name) => world.upstream(name)));
    const balancer = await Balancer.start(t, behind);
    await world.route(service, balancer.url);
    for (const end = Date.now() + 60_000; behind.some(({ requests }) => requests.length === 0);) {
      assert.ok(Date.now() < end, 'one of them was never asked');
      await world.gateway.output(service);
      await delay(100);
    }
  });

  test('none is kept idle for as long as a replica that ends goes on answering', async (t) => {
    const balancer = await Balancer.start(t, [await world.upstream('one')]);
    await world.route(service, balancer.url);
    await Promise.all(Array.from({ length: 5 }, () => world.gateway.output(service)));
    assert.ok(balancer.sockets.size > 0);
    const idle = Date.now();
    await untilTrue(() => balancer.sockets.size === 0);
    const took = Date.now() - idle;
    assert.ok(took < connections.linger - 1_000, `closed after ${took} ms`);
  });
});
