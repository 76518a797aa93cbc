import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Catalog } from '../../../platform/catalog/index.js';
import { withCatalog, type Open } from './opened.js';
import {
  grantTo,
  journalRoute,
  neverCalled,
  releaseOf,
  replicas,
  shiftUnder,
  ship,
} from '../../catalog/fixtures.js';

const fenced = { type: 'Conflict', message: /^fenced: / };

export const moving = (open: Open) =>
  describe('moving the route', () => {
    let catalog: Catalog;
    let service: string;
    withCatalog(open, (...given) => ([catalog, service] = given));

    test('moves route, live release and journal together', async () => {
      const { version } = await catalog.routes();
      const grant = await grantTo(catalog, service, 'a');
      const { route, release, entry } = await shiftUnder(catalog, grant, [
        'http://10.0.0.1:1',
        'http://10.0.0.2:1',
      ]);
      assert.deepEqual(route, {
        service,
        release: release.id,
        replicas: replicas(release.id, ['http://10.0.0.1:1', 'http://10.0.0.2:1']),
        canary: null,
        version: version + 1,
      });
      assert.deepEqual(await catalog.getRoute(service), route);
      const served = await catalog.routes();
      assert.equal(served.version, version + 1);
      assert.deepEqual(
        served.routes.find((other) => other.service === service),
        route,
      );
      assert.deepEqual(await catalog.getService(service), {
        service,
        live: release.id,
        previous: null,
        lastVerified: release.id,
        token: grant.token,
        holder: grant.deployment,
      });
      assert.deepEqual(await catalog.getRelease(release.id), release);
      assert.equal(await catalog.whileUnnamed(release.image.digest, grant, neverCalled), false);
      assert.deepEqual(await catalog.openEffects(service, grant.token), [{ ...entry, state: 'done' }]);
    });

    test('repeated after a lost reply, answers the same route under the same version', async () => {
      await ship(catalog, service, 'a');
      const grant = await grantTo(catalog, service, 'b');
      const { route, release } = await shiftUnder(catalog, grant);
      const before = await catalog.getService(service);
      assert.deepEqual(await catalog.shift(grant, release, route.replicas), route);
      assert.deepEqual(await catalog.getService(service), before);
      assert.equal(before?.previous, `${service}.r1`);
      assert.equal((await catalog.routes()).version, route.version);
    });

    test('without an entry in the journal it is refused, and leaves nothing', async () => {
      const grant = await grantTo(catalog, service, 'a');
      const release = releaseOf(grant);
      await assert.rejects(catalog.shift(grant, release, []), {
        type: 'Conflict',
        message: /journal has no entry/,
      });
      assert.equal(await catalog.getRelease(release.id), null);
      assert.equal(await catalog.getRoute(service), null);
    });

    test('a late shift of a deployment that is being undone is refused', async () => {
      const grant = await grantTo(catalog, service, 'a');
      const { release, route } = await shiftUnder(catalog, grant);
      await catalog.beginUndo(grant);
      await assert.rejects(catalog.shift(grant, release, route.replicas), fenced);
    });

    test('a shift at the same moment as the undo is taken back by it, or refused', async () => {
      const stable = await ship(catalog, service, 'stable');
      for (let round = 0; round < 15; round += 1) {
        const grant = await grantTo(catalog, service, `round ${round}`);
        const shifting = shiftUnder(catalog, grant).catch((error: unknown) => error);
        await catalog.beginUndo(grant);
        for (const entry of await catalog.openEffects(service, grant.token)) await catalog.unshift(entry);
        await shifting;
        await catalog.closeGrant(grant, 'failed');
        const route = await catalog.getRoute(service);
        assert.deepEqual(route?.replicas, stable.replicas);
        assert.equal((await catalog.getService(service))?.live, stable.release);
        assert.deepEqual(await catalog.openEffects(service, grant.token), []);
      }
    });

    test('undone, the route before is back exactly, under a new version, however often it is undone', async () => {
      await ship(catalog, service, 'a');
      const second = await ship(catalog, service, 'b', ['http://10.0.0.7:1', 'http://10.0.0.8:1']);
      const before = await catalog.getService(service);
      const grant = await grantTo(catalog, service, 'c');
      const { entry, route, release } = await shiftUnder(catalog, grant);
      await catalog.beginUndo(grant);
      const restored = await catalog.unshift(entry);
      assert.deepEqual(restored, { ...second, version: route.version + 1 });
      assert.deepEqual(await catalog.unshift(entry), restored);
      assert.deepEqual(await catalog.getRoute(service), restored);
      await catalog.closeGrant(grant, 'failed');
      assert.deepEqual(await catalog.getService(service), { ...before, token: grant.token });
      assert.equal(await catalog.getRelease(release.id), null);
      assert.deepEqual(
        (await catalog.listReleases(service)).map(({ id }) => id),
        [`${service}.r2`, `${service}.r1`],
      );
      assert.deepEqual(await catalog.openEffects(service, grant.token), []);
    });

    test('undone by several attempts at once, it is undone once', async () => {
      const stable = await ship(catalog, service, 'a');
      const grant = await grantTo(catalog, service, 'b');
      const { entry, route } = await shiftUnder(catalog, grant);
      await catalog.beginUndo(grant);
      const undone = await Promise.all(Array.from({ length: 5 }, () => catalog.unshift(entry)));
      for (const restored of undone) assert.deepEqual(restored, { ...stable, version: route.version + 1 });
    });

    test('undone on a first deployment, there is no route, and gateways have a version to notice it by', async () => {
      const grant = await grantTo(catalog, service, 'a');
      const { entry, route } = await shiftUnder(catalog, grant);
      await catalog.beginUndo(grant);
      assert.equal(await catalog.unshift(entry), null);
      assert.equal(await catalog.unshift(entry), null);
      assert.equal((await catalog.routes()).version, route.version + 1);
      assert.equal(await catalog.getRoute(service), null);
      const record = await catalog.getService(service);
      assert.deepEqual([record?.live, record?.previous, record?.lastVerified], [null, null, null]);
    });

    test('undone before it happened, it changes nothing and cannot happen any more', async () => {
      const stable = await ship(catalog, service, 'a');
      const grant = await grantTo(catalog, service, 'b');
      const release = releaseOf(grant);
      const entry = await catalog.recordEffect(grant, {
        kind: 'route',
        key: 'route',
        release: release.id,
        previous: stable,
      });
      assert.deepEqual(await catalog.unshift(entry), stable);
      await assert.rejects(catalog.shift(grant, release, []), { type: 'Conflict' });
      assert.deepEqual(await catalog.getRoute(service), stable);
      assert.equal(await catalog.getRelease(release.id), null);
    });

    test('an undo that comes late does not touch the release that serves by then', async () => {
      await ship(catalog, service, 'a');
      const lost = await grantTo(catalog, service, 'lost');
      const { entry } = await shiftUnder(catalog, lost);
      const third = await ship(catalog, service, 'c');
      assert.deepEqual(await catalog.unshift(entry), third);
      const record = await catalog.getService(service);
      assert.deepEqual([record?.live, record?.previous], [third.release, `${service}.r1`]);
      // Kept by a success: not an undo's business any more.
      const kept = await grantTo(catalog, service, 'd');
      const shifted = await shiftUnder(catalog, kept);
      await catalog.closeGrant(kept, 'succeeded');
      assert.deepEqual(await catalog.unshift(shifted.entry), shifted.route);
    });

    test('versions come out in order while services move at once', async () => {
      const seen: number[] = [];
      let watching = true;
      const reader = (async () => {
        while (watching) {
          const { version, routes } = await catalog.routes();
          seen.push(version);
          for (const route of routes) assert.ok(route.version <= version);
        }
      })();
      const names = Array.from({ length: 12 }, (_, index) => `${service}-${index}`);
      const routes = await Promise.all(names.map((name) => ship(catalog, name, 'a')));
      watching = false;
      await reader;
      assert.equal(new Set(routes.map(({ version }) => version)).size, 12);
      assert.deepEqual(
        seen,
        seen.toSorted((a, b) => a - b),
      );
    });

    test('what was given and what it answered is the own copy of the caller', async () => {
      const grant = await grantTo(catalog, service, 'a');
      const { release, entry } = await journalRoute(catalog, grant);
      const given = { release: structuredClone(release), replicas: replicas(release.id) };
      const route = await catalog.shift(grant, given.release, given.replicas);
      const whole = structuredClone(route);
      for (const each of [route, given]) each.replicas.pop();
      given.release.spec.replicas = 7;
      Object.assign((await catalog.getRelease(release.id))!, { model: 'other' });
      Object.assign((await catalog.getService(service))!, { live: null });
      Object.assign((await catalog.openEffects(service, grant.token))[0]!, { state: 'undone' });
      assert.deepEqual(await catalog.getRoute(service), whole);
      assert.deepEqual(await catalog.getRelease(release.id), release);
      assert.equal((await catalog.getService(service))?.live, release.id);
      assert.deepEqual(await catalog.openEffects(service, grant.token), [{ ...entry, state: 'done' }]);
    });
  });
