import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Catalog } from '../../platform/catalog/index.js';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { makeDatabase, type TestDatabase } from '../support/database.js';
import { untilTrue } from '../support/until.js';
import { acknowledged, routeTo, TestGateway, Upstream } from './fixtures.js';

describe('routes move while requests are in flight', () => {
  let database: TestDatabase;
  let catalog: Catalog;
  let gateways: TestGateway[];
  before(async () => {
    database = await makeDatabase();
    catalog = await postgresCatalog(database.url);
    gateways = await Promise.all([1, 2].map(() => TestGateway.start({ catalog: async () => catalog })));
  });
  after(async () => {
    await Promise.all(gateways.map((gateway) => gateway.close()));
    await catalog.close();
    await database.drop();
  });

  test('a long answer is finished by the replica that began it, and the move is acknowledged meanwhile', async () => {
    let finish: () => void = () => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const old = await Upstream.start('old', async (_request, response) => {
      // What still comes to it after the move is answered at once.
      if (old.requests.length > 1) return void response.end('{"output":"old"}');
      response.writeHead(200, { 'content-type': 'text/plain' }).write('begun');
      await finished;
      response.end(' and ended');
    });
    const fresh = await Upstream.start('new');
    const [gateway] = gateways;
    await acknowledged(catalog, (await routeTo(catalog, 'long', [old.url])).version);
    const answer = gateway!.predict('long').then((response) => response.text());
    await untilTrue(() => old.requests.length === 1);
    const { version } = await routeTo(catalog, 'long', [fresh.url]);
    await untilTrue(async () => (await gateway!.output('long')) === 'new');
    await acknowledged(catalog, version);
    finish();
    assert.equal(await answer, 'begun and ended');
    await Promise.all([old.kill(), fresh.kill()]);
  });

  test('a move is acknowledged soon when nothing is in flight', async () => {
    const [one, two] = [await Upstream.start('one'), await Upstream.start('two')];
    await acknowledged(catalog, (await routeTo(catalog, 'quick', [one.url])).version);
    const moved = Date.now();
    await acknowledged(catalog, (await routeTo(catalog, 'quick', [two.url])).version);
    assert.ok(Date.now() - moved < 3_900, `acknowledged after ${Date.now() - moved} ms`);
    await Promise.all([one.kill(), two.kill()]);
  });

  test('a gateway that ends answers what it has begun, takes no more, and is not waited for', async () => {
    const slow = await Upstream.start('slow', async (request, response) => {
      for await (const _ of request);
      await delay(1_000);
      response.end('{"output":"late"}');
    });
    const third = await TestGateway.start({ catalog: async () => catalog, id: 'third' });
    await acknowledged(catalog, (await routeTo(catalog, 'ending', [slow.url])).version);
    assert.ok((await catalog.livingGateways()).some(({ id }) => id === 'third'));
    const { url } = third;
    const asked = third.output('ending');
    await untilTrue(() => slow.requests.length === 1);
    const stopped = third.stop();
    assert.equal(await asked, 'late');
    await stopped;
    await assert.rejects(fetch(`${url}/healthz`));
    assert.ok(!(await catalog.livingGateways()).some(({ id }) => id === 'third'));
    await third.close();
    await slow.kill();
  });

  test('a gateway that ends does not wait for connections that have asked nothing', async () => {
    const fourth = await TestGateway.start({ catalog: async () => catalog, id: 'fourth' });
    const socket = connect(Number(new URL(fourth.url).port), '127.0.0.1');
    const closed = once(socket, 'close');
    await once(socket, 'connect');
    // Node itself gives such a connection a minute.
    const ending = AbortSignal.timeout(30_000);
    await Promise.race([fourth.close(), once(ending, 'abort').then(() => assert.fail('it waits'))]);
    await closed;
  });
});
