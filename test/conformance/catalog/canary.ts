import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Catalog } from '../../../platform/catalog/index.js';
import { untilTrue } from '../../support/until.js';
import { withCatalog, type Open } from './opened.js';
import { grantTo, releaseOf, replicas, shiftUnder, ship, weighUnder } from '../../catalog/fixtures.js';

const fenced = { type: 'Conflict', message: /^fenced: / };

export const onItsWay = (open: Open) =>
  describe('a release on its way', () => {
    let catalog: Catalog;
    let service: string;
    withCatalog(open, (...given) => ([catalog, service] = given));

    test('it gets its weight beside the live one, under a new version, and repeated under the same', async () => {
      const live = await ship(catalog, service, 'a');
      const grant = await grantTo(catalog, service, 'b');
      const { route, release } = await weighUnder(catalog, grant, 10);
      const canary = { release: release.id, replicas: replicas(release.id), weight: 10 };
      assert.deepEqual(route, { ...live, canary, version: live.version + 1 });
      assert.deepEqual(await catalog.getRoute(service), route);
      const { version, routes } = await catalog.routes();
      assert.deepEqual(
        routes.find((other) => other.service === service),
        route,
      );
      assert.deepEqual(await catalog.weigh(grant, canary), route);
      assert.equal((await catalog.routes()).version, version);
      const more = await catalog.weigh(grant, { ...canary, weight: 50 });
      assert.deepEqual(more, { ...route, canary: { ...canary, weight: 50 }, version: version + 1 });
      const record = await catalog.getService(service);
      assert.deepEqual([record?.live, record?.lastVerified], [live.release, live.release]);
    });

    test('a change of weight wakes the gateways', async () => {
      await ship(catalog, service, 'a');
      const grant = await grantTo(catalog, service, 'b');
      let told = 0;
      const unlisten = await catalog.onRoutesChanged(() => (told += 1));
      await untilTrue(() => told === 1);
      await weighUnder(catalog, grant, 10);
      await untilTrue(() => told === 2);
      await unlisten();
    });

    test('without a route there is nothing to divide, and without a journal nothing to go back by', async () => {
      const grant = await grantTo(catalog, service, 'a');
      await assert.rejects(weighUnder(catalog, grant, 10), { type: 'Conflict', message: /no route yet/ });
      await catalog.closeGrant(grant, 'failed');
      const live = await ship(catalog, service, 'b');
      const next = await grantTo(catalog, service, 'c');
      const canary = { release: releaseOf(next).id, replicas: [], weight: 10 };
      await assert.rejects(catalog.weigh(next, canary), {
        type: 'Conflict',
        message: /journal has no entry/,
      });
      assert.deepEqual(await catalog.getRoute(service), live);
    });

    test('a late attempt of a deployment that is undone, ended or replaced is refused', async () => {
      await ship(catalog, service, 'a');
      const undone = await grantTo(catalog, service, 'undone');
      const { entry, route } = await weighUnder(catalog, undone, 10);
      await catalog.beginUndo(undone);
      await assert.rejects(catalog.weigh(undone, { ...route.canary!, weight: 20 }), fenced);
      await catalog.unshift(entry);
      await assert.rejects(catalog.weigh(undone, route.canary!), fenced);
      const lost = await grantTo(catalog, service, 'lost');
      const { route: before } = await weighUnder(catalog, lost, 10);
      await grantTo(catalog, service, 'next');
      await assert.rejects(catalog.weigh(lost, { ...before.canary!, weight: 20 }), fenced);
      assert.deepEqual(await catalog.getRoute(service), before);
    });

    test('a late attempt after the shift of the same deployment changes nothing', async () => {
      await ship(catalog, service, 'a');
      const grant = await grantTo(catalog, service, 'b');
      const { route } = await weighUnder(catalog, grant, 50);
      const { route: shifted } = await shiftUnder(catalog, grant);
      assert.equal(shifted.canary, null);
      assert.deepEqual(await catalog.weigh(grant, route.canary!), shifted);
      assert.deepEqual(await catalog.getRoute(service), shifted);
      await catalog.closeGrant(grant, 'succeeded');
      assert.deepEqual(await catalog.openEffects(service, grant.token), []);
    });

    test('undone before it ever shifted, the route before is back, however often it is undone', async () => {
      await ship(catalog, service, 'a');
      const live = await ship(catalog, service, 'b', ['http://10.0.0.7:1']);
      const record = await catalog.getService(service);
      const grant = await grantTo(catalog, service, 'c');
      const { entry, route } = await weighUnder(catalog, grant, 30);
      await catalog.beginUndo(grant);
      const restored = await catalog.unshift(entry);
      assert.deepEqual(restored, { ...live, version: route.version + 1 });
      assert.deepEqual(await catalog.unshift(entry), restored);
      assert.deepEqual(await catalog.getRoute(service), restored);
      await catalog.closeGrant(grant, 'failed');
      assert.deepEqual(await catalog.getService(service), { ...record, token: grant.token });
      assert.deepEqual(await catalog.openEffects(service, grant.token), []);
    });

    test('undone after steps and shift, the route before all of them is back', async () => {
      const live = await ship(catalog, service, 'a');
      const grant = await grantTo(catalog, service, 'b');
      await weighUnder(catalog, grant, 10);
      await weighUnder(catalog, grant, 60);
      const { entry, route } = await shiftUnder(catalog, grant);
      await catalog.beginUndo(grant);
      assert.deepEqual(await catalog.unshift(entry), { ...live, version: route.version + 1 });
      assert.equal(await catalog.getRelease(route.release), null);
    });

    test('an undo does not bring back what another deployment had left on its way', async () => {
      const live = await ship(catalog, service, 'a');
      const lost = await grantTo(catalog, service, 'lost');
      const { entry: left } = await weighUnder(catalog, lost, 10);
      const next = await grantTo(catalog, service, 'next');
      const { entry, route } = await weighUnder(catalog, next, 20);
      // The later one's part of the traffic is not the earlier one's to take away.
      assert.deepEqual(await catalog.unshift(left), route);
      await catalog.beginUndo(next);
      assert.deepEqual(await catalog.unshift(entry), { ...live, version: route.version + 1 });
    });

    test('a step at the same moment as the undo is taken back by it, or refused', async () => {
      const live = await ship(catalog, service, 'stable');
      for (let round = 0; round < 15; round += 1) {
        const grant = await grantTo(catalog, service, `round ${round}`);
        const weighing = weighUnder(catalog, grant, 10).catch((error: unknown) => error);
        await catalog.beginUndo(grant);
        for (const entry of await catalog.openEffects(service, grant.token)) await catalog.unshift(entry);
        await weighing;
        await catalog.closeGrant(grant, 'failed');
        const route = await catalog.getRoute(service);
        assert.deepEqual({ ...route, version: 0 }, { ...live, version: 0 });
      }
    });
  });
