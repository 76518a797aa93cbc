import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Catalog } from '../../platform/catalog/index.js';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { untilTrue } from '../support/until.js';
import { grantTo, run, ship, shiftUnder } from './fixtures.js';
import { OwnPostgres } from '../support/own-postgres.js';

describe('PostgreSQL goes away', () => {
  let server: OwnPostgres;
  let url: string;
  let catalog: Catalog;
  before(async () => {
    server = await OwnPostgres.start();
    url = await server.database('lost');
    catalog = await postgresCatalog(url);
  });
  after(async () => {
    await catalog.close();
    await server.close();
  });

  test('calls fail soon while it is away and work when it is back; changes are told again', async () => {
    let told = 0;
    const unlisten = await catalog.onRoutesChanged(() => (told += 1));
    await untilTrue(() => told === 1);
    const shipped = await ship(catalog, 'iris', 'a');
    await untilTrue(() => told === 2);
    await server.kill();
    const started = Date.now();
    await assert.rejects(catalog.getRoute('iris'), /asking the catalog: /);
    await assert.rejects(catalog.openGrant('iris', run('b'), 0), /asking the catalog: /);
    assert.ok(Date.now() - started < 15_000, 'fails soon');
    await delay(1_500);
    await server.restart();
    await untilTrue(() => told === 3);
    assert.deepEqual(await catalog.getRoute('iris'), shipped);
    await ship(catalog, 'iris', 'b');
    await untilTrue(() => told >= 4);
    await unlisten();
  });

  test('killed under twenty transactions, none happens by half and the process lives', async () => {
    for (let round = 0; round < 3; round += 1) {
      const shifting = Array.from({ length: 20 }, async (_, index) => {
        const grant = await grantTo(catalog, `half-${round}-${index}`, 'a');
        await shiftUnder(catalog, grant);
        return grant;
      });
      const outcomes = Promise.allSettled(shifting);
      await delay(30 + round * 60);
      await server.kill();
      await outcomes;
      await server.restart();
    }
    const { routes } = await catalog.routes();
    for (const { service, live, token } of await catalog.listServices()) {
      const route = routes.find((each) => each.service === service);
      assert.equal(route?.release ?? null, live);
      if (!service.startsWith('half') || !live) continue;
      assert.deepEqual(
        (await catalog.openEffects(service, token)).map(({ state }) => state),
        ['done'],
      );
      assert.ok(await catalog.getRelease(live));
    }
  });

  test('a connection that is cut inside a transaction takes all of it back', async () => {
    const admin = new pg.Client(server.url('postgres'));
    await admin.connect();
    const holder = new pg.Client(url);
    await holder.connect();
    await ship(catalog, 'cut', 'a');
    // A lock of somebody else keeps the transaction waiting, so that it can be cut in its middle.
    await holder.query(`begin; select * from slipway.route_clock for update`);
    const grant = await grantTo(catalog, 'cut', 'b');
    const before = await catalog.getService('cut');
    const shifting = shiftUnder(catalog, grant);
    const cut = assert.rejects(shifting, /asking the catalog: /);
    await untilTrue(async () => {
      const { rows } = await admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'`,
      );
      return rows.length > 0;
    });
    await cut;
    await holder.query('rollback');
    assert.deepEqual(await catalog.getService('cut'), before);
    assert.equal(await catalog.getRelease('cut.r2'), null);
    assert.deepEqual(
      (await catalog.openEffects('cut', grant.token)).map(({ state }) => state),
      ['intended'],
    );
    const { route } = await shiftUnder(catalog, grant);
    assert.deepEqual(await catalog.getRoute('cut'), route);
    await holder.end();
    await admin.end();
  });

  test('a process that stops inside a transaction does not keep the service for ever', async () => {
    await ship(catalog, 'stopped', 'a');
    const stopped = new pg.Client(url);
    stopped.on('error', () => undefined);
    await stopped.connect();
    await stopped.query('set idle_in_transaction_session_timeout = 1000');
    await stopped.query(`begin; select * from slipway.services where service = 'stopped' for update`);
    await ship(catalog, 'stopped', 'b');
    assert.equal((await catalog.getService('stopped'))?.live, 'stopped.r2');
    await stopped.end();
  });
});
