import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { noTraffic, type TrafficFigures } from '../../../contract/traffic.js';
import type { Catalog } from '../../../platform/catalog/index.js';
import { withCatalog, type Open } from './opened.js';

/** So many requests within the bucket, so many of them failed. */
function figures(requests: number, failures = 0, bucket = 3): TrafficFigures {
  const some = { ...noTraffic(), requests, failures };
  some.latency[bucket] = requests;
  return some;
}

export const counted = (open: Open) =>
  describe('figures of releases', () => {
    let catalog: Catalog;
    let service: string;
    withCatalog(open, (...given) => ([catalog, service] = given));
    const report = (run: string, release: string, figures: TrafficFigures): Promise<void> =>
      catalog.reportTraffic(run, [{ service, release, figures }]);

    test('what all runs of all gateways have counted is added up, bucket by bucket', async () => {
      assert.deepEqual(await catalog.trafficOf(service, 'iris.r1'), noTraffic());
      await report('one', 'iris.r1', figures(10, 1, 0));
      await report('two', 'iris.r1', figures(5, 2, 62));
      await report('two', 'iris.r2', figures(7));
      await catalog.reportTraffic('one', [{ service: 'other', release: 'iris.r1', figures: figures(99) }]);
      const sum = figures(10, 3, 0);
      sum.requests = 15;
      sum.latency[62] = 5;
      assert.deepEqual(await catalog.trafficOf(service, 'iris.r1'), sum);
      assert.deepEqual(await catalog.trafficOf(service, 'iris.r2'), figures(7));
    });

    test('a run tells totals: a report that is repeated or overtaken changes nothing', async () => {
      await report('one', 'iris.r3', figures(10, 1));
      await report('one', 'iris.r3', figures(12, 2));
      await report('one', 'iris.r3', figures(12, 2));
      await report('one', 'iris.r3', figures(11, 1));
      assert.deepEqual(await catalog.trafficOf(service, 'iris.r3'), figures(12, 2));
      // Another run of the same gateway begins at zero; nothing of the one before is lost.
      await report('one again', 'iris.r3', figures(1));
      assert.deepEqual(await catalog.trafficOf(service, 'iris.r3'), figures(13, 2));
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
          const { requests, failures, latency } = await catalog.trafficOf(service, 'iris.r4');
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
      assert.equal((await catalog.trafficOf(service, 'iris.r4')).requests, 4 * (38 + 39 + 40));
    });

    test('numbers that need more than 32 bits come back as they are', async () => {
      await report('one', 'iris.r5', figures(6_000_000_000, 5_000_000_000));
      assert.deepEqual(await catalog.trafficOf(service, 'iris.r5'), figures(6_000_000_000, 5_000_000_000));
    });
  });
