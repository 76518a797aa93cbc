import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { makeDatabase } from '../support/database.js';
import { ship } from './fixtures.js';

test('four processes that open a new database at once make one schema', async () => {
  const { url, drop } = await makeDatabase({ empty: true });
  try {
    const catalogs = await Promise.all([1, 2, 3, 4].map(() => postgresCatalog(url)));
    await ship(catalogs[0]!, 'iris', 'a');
    assert.equal((await catalogs[3]!.listServices()).length, 1);
    const client = new pg.Client(url);
    await client.connect();
    await client.query('insert into slipway.migrations (step) values (1000)');
    await assert.rejects(postgresCatalog(url), { type: 'Conflict', message: /has 1000 steps/ });
    await client.end();
    await Promise.all(catalogs.map((catalog) => catalog.close()));
  } finally {
    await drop();
  }
});
