import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { noTraffic, type TrafficFigures } from '../../contract/traffic.js';
import type { Catalog } from '../../platform/catalog/index.js';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { makeDatabase, type TestDatabase } from '../support/database.js';
import { grantTo, ship, weighUnder } from './fixtures.js';

/** So many requests within the bucket, so many of them failed. */
function figures(requests: number, failures = 0, bucket = 3): TrafficFigures {
  const some = { ...noTraffic(), requests, failures };
  some.latency[bucket] = requests;
  return some;
}

describe('figures of releases in PostgreSQL', () => {
  let database: TestDatabase;
  let catalog: Catalog;
  let client: pg.Client;
  before(async () => {
    database = await makeDatabase();
    catalog = await postgresCatalog(database.url);
    client = new pg.Client({ connectionString: database.url, options: '-c search_path=slipway' });
    await client.connect();
  });
  after(async () => {
    await client.end();
    await catalog.close();
    await database.drop();
  });
  const report = (run: string, release: string, counted: TrafficFigures): Promise<void> =>
    catalog.reportTraffic(run, [{ service: 'iris', release, figures: counted }]);
  const age = async (release: string): Promise<void> => {
    await client.query(`update traffic set reported_at = now() - interval '8 days' where release = $1`, [
      release,
    ]);
  };

  test('old figures go when new ones are added, but not those of a release in a route', async () => {
    const live = await ship(catalog, 'iris', 'a');
    const { release } = await weighUnder(catalog, await grantTo(catalog, 'iris', 'b'), 10);
    const old = [live.release, release.id, 'iris.r77'];
    for (const each of [...old, 'iris.r88']) await report('old', each, figures(1_000));
    for (const each of old) await age(each);
    const before = await catalog.trafficOf('iris', live.release);
    // No new row: nothing grows, nothing is looked for.
    await report('old', 'iris.r88', figures(1_001));
    assert.equal((await catalog.trafficOf('iris', 'iris.r77')).requests, 1_000);
    await report('new', 'iris.r88', figures(1));
    assert.deepEqual(await catalog.trafficOf('iris', 'iris.r77'), noTraffic());
    assert.deepEqual(await catalog.trafficOf('iris', live.release), before);
    assert.equal((await catalog.trafficOf('iris', release.id)).requests, 1_000);
    assert.equal((await catalog.trafficOf('iris', 'iris.r88')).requests, 1_002);
  });

  test('reading one release does not read the others', async () => {
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(
      `explain select requests, failures, latency from traffic where service = 'iris' and release = 'iris.r1'`,
    );
    await client.query('set enable_seqscan = off');
    const { rows: indexed } = await client.query<{ 'QUERY PLAN': string }>(
      `explain select requests, failures, latency from traffic where service = 'iris' and release = 'iris.r1'`,
    );
    assert.match(
      [...rows, ...indexed].map((row) => row['QUERY PLAN']).join('\n'),
      /Index Cond: \(\(service = 'iris'::text\) AND \(release = 'iris.r1'::text\)\)/,
    );
  });
});
