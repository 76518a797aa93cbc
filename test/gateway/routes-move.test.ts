import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import type { Catalog } from '../../platform/catalog/index.js';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { OwnPostgres } from '../catalog/own-postgres.js';
import { Traffic } from '../support/traffic.js';
import { untilTrue } from '../support/until.js';
import { acknowledged, routeTo, TestGateway, Upstream } from './fixtures.js';

describe('routes move under traffic', () => {
  let server: OwnPostgres;
  let catalog: Catalog;
  let gateways: TestGateway[];
  before(async () => {
    server = await OwnPostgres.start();
    const url = await server.database('moving');
    catalog = await postgresCatalog(url);
    gateways = await Promise.all([1, 2].map(() => TestGateway.start({ catalog: async () => catalog })));
  });
  after(async () => {
    await Promise.all(gateways.map((gateway) => gateway.close()));
    await catalog.close();
    await server.close();
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
      catalog,
      (
        await routeTo(
          catalog,
          'busy',
          serving.map(({ url }) => url),
        )
      ).version,
    );
    const pools = gateways.map(({ url }) => new Pool(url));
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
          catalog,
          'busy',
          next.map(({ url }) => url),
        );
        await acknowledged(catalog, version);
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

  test('a long answer is finished by the replica that began it, and the move is acknowledged meanwhile', async () => {
    const old = await Upstream.start('old', async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      for (let piece = 0; piece < 14; piece += 1) {
        response.write(`${piece}`);
        await delay(500);
      }
      response.end('.');
    });
    const fresh = await Upstream.start('new');
    const [gateway] = gateways;
    await acknowledged(catalog, (await routeTo(catalog, 'long', [old.url])).version);
    const answer = gateway!.predict('long').then((response) => response.text());
    await untilTrue(() => old.requests.length === 1);
    const moved = Date.now();
    const { version } = await routeTo(catalog, 'long', [fresh.url]);
    await untilTrue(async () => (await gateway!.output('long')) === 'new', 1_000);
    await acknowledged(catalog, version);
    assert.ok(Date.now() - moved < 6_500, `acknowledged after ${Date.now() - moved} ms`);
    assert.equal(await answer, '012345678910111213.');
    await Promise.all([old.kill(), fresh.kill()]);
  });

  test('a move is acknowledged soon when nothing is in flight', async () => {
    const [one, two] = [await Upstream.start('one'), await Upstream.start('two')];
    await acknowledged(catalog, (await routeTo(catalog, 'quick', [one.url])).version);
    const moved = Date.now();
    await acknowledged(catalog, (await routeTo(catalog, 'quick', [two.url])).version);
    assert.ok(Date.now() - moved < 1_500, `acknowledged after ${Date.now() - moved} ms`);
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
});
