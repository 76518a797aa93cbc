import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Catalog } from '../../../platform/catalog/index.js';
import { grantTo, run } from '../../catalog/fixtures.js';
import { withCatalog, type Open, type Opened } from './opened.js';

const fenced = { type: 'Conflict', message: /^fenced: / };
const effect = {
  kind: 'replica',
  key: 'replica-0',
  target: 'docker',
  node: 'local',
  name: 'slipway-iris.r1-0',
} as const;

export const whoMayChange = (open: Open) =>
  describe('who may change a service', () => {
    let catalog: Catalog;
    let service: string;
    let another: Opened['another'];
    withCatalog(open, (...given) => ([catalog, service, another] = given));

    test('twenty at once get twenty growing tokens, and one of them holds the service', async () => {
      const others = await Promise.all([1, 2, 3].map(() => another()));
      const catalogs = [catalog, ...others];
      const tokens = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          catalogs[index % 4]!.openGrant(service, run(String(index)), 0).then((token) => ({ token, index })),
        ),
      );
      assert.deepEqual(
        tokens.map(({ token }) => token).sort((a, b) => a - b),
        Array.from({ length: 20 }, (_, index) => index + 1),
      );
      const last = tokens.find(({ token }) => token === 20)!;
      const record = await catalog.getService(service);
      assert.equal(record?.token, 20);
      assert.deepEqual(record.holder, run(String(last.index)));
      await Promise.all(others.map((other) => other.close()));
    });

    test('the same deployment asking twenty times at once gets one token', async () => {
      const tokens = await Promise.all(
        Array.from({ length: 20 }, () => catalog.openGrant(service, run('a'), 0)),
      );
      assert.deepEqual([...new Set(tokens)], [1]);
    });

    test('a token is above the floor, when the database has forgotten what the owner knows', async () => {
      assert.equal(await catalog.openGrant(service, run('a'), 41), 42);
      assert.equal(await catalog.openGrant(service, run('b'), 7), 43);
    });

    test('a request that comes late, after its deployment has ended, takes nothing from the next one', async () => {
      const first = await grantTo(catalog, service, 'first');
      await catalog.closeGrant(first, 'failed');
      const second = await grantTo(catalog, service, 'second');
      assert.equal(await catalog.openGrant(service, first.deployment, 0), first.token);
      assert.deepEqual((await catalog.getService(service))?.holder, second.deployment);
      await catalog.recordEffect(second, effect);
      await assert.rejects(catalog.recordEffect(first, effect), fenced);
    });

    test('a deployment that lost the service to another can do nothing more', async () => {
      const lost = await grantTo(catalog, service, 'lost');
      const entry = await catalog.recordEffect(lost, effect);
      const winner = await grantTo(catalog, service, 'winner');
      await assert.rejects(catalog.recordEffect(lost, { ...effect, key: 'replica-1' }), fenced);
      assert.equal(await catalog.completeEffect(entry), false);
      await catalog.beginUndo(lost);
      await catalog.closeGrant(lost, 'failed');
      await assert.rejects(catalog.closeGrant(lost, 'succeeded'), fenced);
      assert.deepEqual((await catalog.getService(service))?.holder, winner.deployment);
      await catalog.recordEffect(winner, effect);
    });

    test('a token alone opens nothing: it must be the same run of the same workflow', async () => {
      const grant = await grantTo(catalog, service, 'a');
      for (const deployment of [
        { ...grant.deployment, runId: 'other' },
        { ...grant.deployment, workflowId: 'other' },
      ]) {
        const forged = { ...grant, deployment };
        await assert.rejects(catalog.recordEffect(forged, effect), fenced);
        await catalog.beginUndo(forged);
        await catalog.closeGrant(forged, 'failed');
      }
      await catalog.recordEffect(grant, effect);
    });

    test('once undo has begun nothing is recorded or completed, and the service is still held', async () => {
      const grant = await grantTo(catalog, service, 'a');
      const entry = await catalog.recordEffect(grant, effect);
      await catalog.beginUndo(grant);
      await catalog.beginUndo(grant);
      assert.equal(await catalog.completeEffect(entry), false);
      await assert.rejects(catalog.recordEffect(grant, { ...effect, key: 'replica-1' }), fenced);
      assert.deepEqual((await catalog.getService(service))?.holder, grant.deployment);
      assert.deepEqual(await catalog.openEffects(service, grant.token), [entry]);
    });

    test('what is being undone is never called a success', async () => {
      const grant = await grantTo(catalog, service, 'a');
      await catalog.beginUndo(grant);
      await assert.rejects(catalog.closeGrant(grant, 'succeeded'), fenced);
      await catalog.closeGrant(grant, 'lost');
      await assert.rejects(catalog.closeGrant(grant, 'succeeded'), fenced);
      await catalog.closeGrant(grant, 'failed');
    });

    test('an effect recorded at the same moment as the undo begins is either seen by it or refused', async () => {
      for (let round = 0; round < 20; round += 1) {
        const grant = await grantTo(catalog, service, String(round));
        const recording = catalog.recordEffect(grant, effect).then(
          () => true,
          () => false,
        );
        const undoing = catalog.beginUndo(grant).then(() => catalog.openEffects(service, grant.token));
        const [recorded, seen] = await Promise.all([recording, undoing]);
        assert.equal(seen.length === 1, recorded);
        await catalog.closeGrant(grant, 'failed');
      }
    });

    test('repeated after a lost reply, closing changes nothing', async () => {
      const grant = await grantTo(catalog, service, 'a');
      const entry = await catalog.recordEffect(grant, effect);
      await catalog.completeEffect(entry);
      await catalog.closeGrant(grant, 'succeeded');
      const before = await catalog.getService(service);
      await catalog.closeGrant(grant, 'succeeded');
      assert.deepEqual(await catalog.getService(service), before);
      // An attempt presumed dead comes back: its replica serves now, and must not be taken back by it.
      assert.equal(await catalog.completeEffect(entry), true);
      await catalog.markUndone(entry.id);
      assert.equal(await catalog.completeEffect(entry), true);
    });
  });
