import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { noTraffic, type TrafficFigures } from '../../contract/traffic.js';
import type { Catalog } from '../../platform/catalog/index.js';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { grantTo, ship, weighUnder } from './fixtures.js';
import { OwnPostgres } from './own-postgres.js';

/** So many requests within the bucket, so many of them failed. */
function figures(requests: number, failures = 0, bucket = 3): TrafficFigures {
  const some = { ...noTraffic(), requests, failures };
  some.latency[bucket] = requests;
  return some;
}

describe('figures of releases', () => {
  let server: OwnPostgres;
  let catalog: Catalog;
  let client: pg.Client;
  before(async () => {
    server = await OwnPostgres.start();
    const url = await server.database('traffic');
    catalog = await postgresCatalog(url);
    client = new pg.Client({ connectionString: url, options: '-c search_path=slipway' });
    await client.connect();
  });
  after(async () => {
    await client.end();
    await catalog.close();
    await server.close();
  });
  const report = (run: string, release: string, counted: TrafficFigures): Promise<void> =>
    catalog.reportTraffic(run, [{ service: 'iris', release, figures: counted }]);
  const age = async (release: string): Promise<void> => {
    await client.query(`update traffic set reported_at = now() - interval '8 days' where release = $1`, [
      release,
    ]);
  };

  test('what all runs of all gateways have counted is added up, bucket by bucket', async () => {
    assert.deepEqual(await catalog.trafficOf('iris', 'iris.r1'), noTraffic());
    await report('one', 'iris.r1', figures(10, 1, 0));
    await report('two', 'iris.r1', figures(5, 2, 62));
    await report('two', 'iris.r2', figures(7));
    await catalog.reportTraffic('one', [{ service: 'other', release: 'iris.r1', figures: figures(99) }]);
    const sum = figures(10, 3, 0);
    sum.requests = 15;
    sum.latency[62] = 5;
    assert.deepEqual(await catalog.trafficOf('iris', 'iris.r1'), sum);
    assert.deepEqual(await catalog.trafficOf('iris', 'iris.r2'), figures(7));
  });

  test('a run tells totals: a report that is repeated or overtaken changes nothing', async () => {
    await report('one', 'iris.r3', figures(10, 1));
    await report('one', 'iris.r3', figures(12, 2));
    await report('one', 'iris.r3', figures(12, 2));
    await report('one', 'iris.r3', figures(11, 1));
    assert.deepEqual(await catalog.trafficOf('iris', 'iris.r3'), figures(12, 2));
    // Another run of the same gateway begins at zero; nothing of the one before is lost.
    await report('one again', 'iris.r3', figures(1));
    assert.deepEqual(await catalog.trafficOf('iris', 'iris.r3'), figures(13, 2));
    await catalog.reportTraffic('one', []);
  });

  test('figures never shrink while gateways report and end and begin', async () => {
    const runs = Array.from({ length: 4 }, async (_, gateway) => {
      for (let count = 1; count <= 40; count += 1)
        await report(`${gateway} run ${count % 3}`, 'iris.r4', figures(count, Math.floor(count / 2)));
    });
    let running = true;
    const reading = (async () => {
      let last = 0;
      for (; running;) {
        const { requests, failures, latency } = await catalog.trafficOf('iris', 'iris.r4');
        assert.ok(requests >= last, `${requests} after ${last}`);
        assert.equal(
          latency.reduce((sum, each) => sum + each, 0),
          requests,
        );
        assert.ok(failures <= requests);
        last = requests;
      }
    })();
    await Promise.all(runs);
    running = false;
    await reading;
    assert.equal((await catalog.trafficOf('iris', 'iris.r4')).requests, 4 * (38 + 39 + 40));
  });

  test('numbers that need more than 32 bits come back as they are', async () => {
    await report('one', 'iris.r5', figures(6_000_000_000, 5_000_000_000));
    assert.deepEqual(await catalog.trafficOf('iris', 'iris.r5'), figures(6_000_000_000, 5_000_000_000));
  });

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
    assert.equal((await catalog.trafficOf('iris', release.id)).requests, 1_000 + 7);
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
