import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Catalog } from '../../../platform/catalog/index.js';
import { digest, grantTo, neverCalled } from '../../catalog/fixtures.js';
import { withCatalog, type Open } from './opened.js';

const fenced = { type: 'Conflict', message: /^fenced: / };
const effect = {
  kind: 'replica',
  key: 'replica-0',
  target: 'docker',
  node: 'local',
  name: 'slipway-iris.r1-0',
} as const;

export const journal = (open: Open) =>
  describe('the effect journal', () => {
    let catalog: Catalog;
    withCatalog(open, (...given) => ([catalog] = given));

    test('an effect recorded twice is one entry, as it was recorded first', async () => {
      const grant = await grantTo(catalog, 'twice', 'a');
      const first = await catalog.recordEffect(grant, effect);
      assert.deepEqual(await catalog.recordEffect(grant, { ...effect, name: 'other' }), first);
      assert.equal(await catalog.completeEffect(first), true);
      assert.equal(await catalog.completeEffect(first), true);
      assert.deepEqual(await catalog.openEffects('twice', grant.token), [{ ...first, state: 'done' }]);
    });

    test('an effect that was undone is neither recorded nor completed again', async () => {
      const grant = await grantTo(catalog, 'undone', 'a');
      const entry = await catalog.recordEffect(grant, effect);
      await catalog.markUndone(entry.id);
      await catalog.markUndone(entry.id);
      assert.equal(await catalog.completeEffect(entry), false);
      await assert.rejects(catalog.recordEffect(grant, effect), fenced);
      assert.deepEqual(await catalog.openEffects('undone', grant.token), []);
    });

    test('effects are undone newest first', async () => {
      const grant = await grantTo(catalog, 'order', 'a');
      for (const key of ['b', 'a', 'c']) await catalog.recordEffect(grant, { ...effect, key });
      const keys = (await catalog.openEffects('order', grant.token)).map((entry) => entry.effect.key);
      assert.deepEqual(keys, ['c', 'a', 'b']);
    });

    test('an image that another deployment is about to use is left alone', async () => {
      const mine = await grantTo(catalog, 'mine', 'a');
      const other = await grantTo(catalog, 'other', 'a');
      const manifest = { kind: 'manifest', key: 'm', repository: 'iris', digest: digest('d') } as const;
      await catalog.recordEffect(mine, manifest);
      const named = await catalog.recordEffect(other, manifest);
      assert.equal(await catalog.whileUnnamed(digest('d'), mine, neverCalled), false);
      await catalog.markUndone(named.id);
      assert.equal(await catalog.whileUnnamed(digest('d'), mine, () => Promise.resolve()), true);
    });

    test('nobody comes to use an image while it is taken away', async () => {
      const mine = await grantTo(catalog, 'taking', 'a');
      const other = await grantTo(catalog, 'coming', 'a');
      const manifest = { kind: 'manifest', key: 'm', repository: 'iris', digest: digest('e') } as const;
      const order: string[] = [];
      let coming: Promise<unknown> | undefined;
      await catalog.whileUnnamed(digest('e'), mine, async () => {
        coming = catalog.recordEffect(other, manifest).then(() => order.push('recorded'));
        await delay(500);
        order.push('taken away');
      });
      await coming;
      assert.deepEqual(order, ['taken away', 'recorded']);
    });

    test('success keeps what was done, and leaves what may not have happened to the census', async () => {
      const grant = await grantTo(catalog, 'kept', 'a');
      await catalog.completeEffect(await catalog.recordEffect(grant, effect));
      const intended = await catalog.recordEffect(grant, { ...effect, key: 'replica-1' });
      await catalog.closeGrant(grant, 'succeeded');
      const open = (await catalog.allOpenEffects()).filter(({ service }) => service === 'kept');
      assert.deepEqual(open, [intended]);
    });
  });
