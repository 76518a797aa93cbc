import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Catalog } from '../../../platform/catalog/index.js';
import { untilTrue } from '../../support/until.js';
import { withCatalog, type Open } from './opened.js';
import { grantTo, journalRoute, replicas, shiftUnder, ship } from '../../catalog/fixtures.js';

export const kept = (open: Open) =>
  describe('what served before is kept for a while', () => {
    let catalog: Catalog;
    let service: string;
    withCatalog(open, (...given) => ([catalog, service] = given));

    async function shipKeeping(name: string, keep: number) {
      const grant = await grantTo(catalog, service, name);
      const { entry, release } = await journalRoute(catalog, grant);
      const again = () => catalog.shift(grant, release, replicas(release.id), keep);
      const route = await again();
      return { grant, release, entry, route, again };
    }

    test('with its replicas; a repeated shift does not begin its time anew', async () => {
      const live = await ship(catalog, service, 'a', ['http://10.0.0.7:1']);
      const { again, route } = await shipKeeping('b', 600_000);
      const [kept, ...others] = await catalog.keptReplicas(service);
      assert.deepEqual(others, []);
      const { remaining, ...rest } = kept!;
      assert.deepEqual(rest, { release: live.release, replicas: live.replicas, expired: false });
      assert.ok(remaining > 0 && remaining <= 600_000, `${remaining} ms remain`);
      await delay(300);
      assert.deepEqual(await again(), route);
      const [later] = await catalog.keptReplicas(service);
      assert.ok(later!.remaining <= remaining - 300, `${later!.remaining} ms remain of ${remaining}`);
    });

    test('until its time is over', async () => {
      const live = await ship(catalog, service, 'a');
      const { again, route } = await shipKeeping('b', 1);
      await untilTrue(async () => (await catalog.keptReplicas(service))[0]!.expired);
      assert.deepEqual(await again(), route);
      const { release, replicas } = live;
      assert.deepEqual(await catalog.keptReplicas(service), [
        { release, replicas, remaining: 0, expired: true },
      ]);
    });

    test('nothing is kept of a first release, nor for no time', async () => {
      await shipKeeping('a', 60_000);
      assert.deepEqual(await catalog.keptReplicas(service), []);
      await ship(catalog, service, 'b');
      assert.deepEqual(await catalog.keptReplicas(service), []);
    });

    test('only what served last is kept', async () => {
      await ship(catalog, service, 'a');
      const second = await shipKeeping('b', 60_000);
      await catalog.closeGrant(second.grant, 'succeeded');
      await shipKeeping('c', 60_000);
      const kept = await catalog.keptReplicas(service);
      assert.deepEqual(
        kept.map(({ release }) => release),
        [second.release.id],
      );
    });

    test('what serves again after an undo is not among it, nor is what was taken back', async () => {
      const live = await ship(catalog, service, 'a');
      const second = await shipKeeping('b', 60_000);
      await catalog.beginUndo(second.grant);
      assert.equal((await catalog.unshift(second.entry))?.release, live.release);
      assert.deepEqual(await catalog.keptReplicas(service), []);
      await catalog.closeGrant(second.grant, 'failed');
      // A holder that is lost may be undone only after the next one has shifted.
      const lost = await grantTo(catalog, service, 'lost');
      const { entry } = await shiftUnder(catalog, lost);
      await shipKeeping('d', 60_000);
      await catalog.unshift(entry);
      assert.deepEqual(await catalog.keptReplicas(service), []);
    });

    test('services do not see what others keep', async () => {
      const other = `${service}-other`;
      await ship(catalog, service, 'a');
      await shipKeeping('b', 60_000);
      assert.deepEqual(await catalog.keptReplicas(other), []);
      await ship(catalog, other, 'a');
      assert.equal((await catalog.keptReplicas(service)).length, 1);
    });
  });
