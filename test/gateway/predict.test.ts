import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { problemOf } from './fixtures.js';
import { GatewayWorld } from './world.js';
import { untilTrue } from '../support/until.js';

describe('predictions through the gateway', () => {
  let world: GatewayWorld;
  let service: string;
  before(async () => {
    world = await GatewayWorld.open({ bodyLimit: 1_000_000, answerTimeout: 1_000 });
  });
  after(async () => {
    await world.close();
  });
  beforeEach(() => {
    service = world.service();
  });

  test('a prediction is answered by a replica of the live release, which is named', async () => {
    await world.route(service, (await world.upstream('one')).url);
    const response = await world.gateway.predict(service);
    assert.equal(response.headers.get('x-slipway-release'), `${service}.r1`);
    assert.deepEqual(await response.json(), { output: 'one' });
    const status = await fetch(`${world.gateway.url}/v1/models/${service}`);
    const { release, replicas } = (await status.json()) as Record<string, unknown>;
    assert.deepEqual([release, replicas], [`${service}.r1`, 1]);
  });

  test('the requests of one client are shared among the replicas', async () => {
    const both = [await world.upstream('one'), await world.upstream('two')];
    await world.route(service, ...both.map(({ url }) => url));
    for (let count = 0; count < 10; count += 1) await world.gateway.output(service);
    assert.deepEqual(
      both.map(({ requests }) => requests.length),
      [5, 5],
    );
  });

  test('an unknown service is told from one that cannot be reached', async () => {
    const unknown = await world.gateway.predict('nobody');
    assert.equal(unknown.status, 404);
    assert.equal((await problemOf(unknown)).type, 'NotFound');
    assert.equal((await fetch(`${world.gateway.url}/v1/models/nobody`)).status, 404);
    assert.equal((await fetch(`${world.gateway.url}/elsewhere`)).status, 404);
    const gone = await world.upstream('gone');
    await world.route(service, gone.url);
    await gone.kill();
    const started = Date.now();
    const away = await world.gateway.predict(service);
    assert.equal(away.status, 503);
    assert.equal(away.headers.get('retry-after'), '1');
    assert.equal((await problemOf(away)).type, 'Unavailable');
    assert.ok(Date.now() - started < 4_000);
  });

  test('a replica that refuses connections is passed over', async () => {
    const [gone, alive] = [await world.upstream('gone'), await world.upstream('alive')];
    await world.route(service, gone.url, alive.url);
    await gone.kill();
    for (let count = 0; count < 20; count += 1) assert.equal(await world.gateway.output(service), 'alive');
  });

  test('a replica that is restarting is waited for', async () => {
    const first = await world.upstream('first');
    await world.route(service, first.url);
    await first.kill();
    const asked = world.gateway.output(service);
    await delay(700);
    await world.upstream('second', undefined, first.port);
    assert.equal(await asked, 'second');
  });

  test('a request that was sent is never sent again', async () => {
    const cutting = await world.upstream('cutting', async (request) => {
      for await (const _ of request);
      request.socket.destroy();
    });
    const other = await world.upstream('other', async (request) => {
      request.socket.destroy();
    });
    await world.route(service, cutting.url, other.url);
    const response = await world.gateway.predict(service);
    assert.equal(response.status, 502);
    assert.equal((await problemOf(response)).type, 'Unavailable');
    assert.equal(cutting.requests.length + other.requests.length, 1);
  });

  test('connections that a replica closes while they are idle lose no request', async () => {
    const closing = await world.upstream('closing');
    await world.route(service, closing.url);
    for (let count = 0; count < 200; count += 1) {
      assert.equal(await world.gateway.output(service), 'closing');
      closing.server.closeIdleConnections();
    }
  });

  test('a replica that does not answer in time is given up', async () => {
    await world.route(service, (await world.upstream('silent', () => undefined)).url);
    const response = await world.gateway.predict(service);
    assert.equal(response.status, 504);
    assert.equal((await problemOf(response)).type, 'Unavailable');
  });

  test('an answer that breaks off is broken off to the client too', async () => {
    const breaking = await world.upstream('breaking', (_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{"out');
      setTimeout(() => response.destroy(), 100);
    });
    await world.route(service, breaking.url);
    const response = await world.gateway.predict(service);
    await assert.rejects(response.text());
  });

  test('a client that leaves ends its request at the replica', async () => {
    let ended = false;
    const slow = await world.upstream(
      'slow',
      (_request, response) => void response.once('close', () => (ended = true)),
    );
    await world.route(service, slow.url);
    const leaving = new AbortController();
    const asked = assert.rejects(world.gateway.predict(service, '{}', { signal: leaving.signal }));
    await untilTrue(() => slow.requests.length === 1);
    leaving.abort();
    await asked;
    await untilTrue(() => ended);
  });
});
