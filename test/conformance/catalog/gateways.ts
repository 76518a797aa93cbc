import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Catalog } from '../../../platform/catalog/index.js';
import { grantTo, shiftUnder, ship } from '../../catalog/fixtures.js';
import { untilTrue } from '../../support/until.js';
import { withCatalog, type Open } from './opened.js';

const fenced = { type: 'Conflict', message: /^fenced: / };

/** Who serves which routes, and who did what. */
export const gateways = (open: Open) =>
  describe('gateways and their routes', () => {
    let catalog: Catalog;
    let service: string;
    withCatalog(open, (...given) => ([catalog, service] = given));

    test('a gateway lives while it is heard of, and is gone when it says so', async () => {
      await catalog.acknowledge('one', 3);
      await catalog.acknowledge('two', 1);
      await catalog.acknowledge('one', 4);
      assert.deepEqual(await catalog.livingGateways(), [
        { id: 'one', version: 4 },
        { id: 'two', version: 1 },
      ]);
      await catalog.forgetGateway('two');
      await catalog.forgetGateway('two');
      assert.deepEqual(await catalog.livingGateways(), [{ id: 'one', version: 4 }]);
    });

    test('every change of a route is told', async () => {
      let told = 0;
      const unlisten = await catalog.onRoutesChanged(() => (told += 1));
      const heard = async (count: number) => {
        await untilTrue(() => told >= count);
      };
      await heard(1);
      await ship(catalog, 'told', 'a');
      await heard(2);
      const grant = await grantTo(catalog, 'told', 'b');
      const { entry } = await shiftUnder(catalog, grant);
      await heard(3);
      await catalog.unshift(entry);
      await heard(4);
      await unlisten();
      await ship(catalog, 'told-2', 'a');
      assert.equal(told, 4);
    });

    test('what people did is written down, for services known or not', async () => {
      await catalog.audit({ service: null, actor: 'ann', action: 'tested' });
      await catalog.audit({ service: 'nobody', actor: 'ann', action: 'tested', details: { why: '\u0000' } });
      const [entry] = await catalog.auditOf('nobody', 10);
      assert.deepEqual(
        { ...entry, at: '' },
        { at: '', actor: 'ann', action: 'tested', details: { why: '\u0000' } },
      );
    });

    test('what a deployment did is written down once, and not once its undo has begun', async () => {
      const grant = await grantTo(catalog, service, 'a');
      const tell = (file: string) => catalog.auditOnce(grant, { action: 'loaded', details: { file } });
      // Attempts of one activity may also be at it at the same time.
      await Promise.all(Array.from({ length: 5 }, () => tell('a.pkl')));
      await tell('b.pkl');
      const { workflowId } = grant.deployment;
      const expected = ['b.pkl', 'a.pkl'].map((file) => ({
        actor: workflowId,
        action: 'loaded',
        details: { file },
      }));
      const told = async () => (await catalog.auditOf(service, 10)).map(({ at: _, ...entry }) => entry);
      assert.deepEqual(await told(), expected);
      assert.deepEqual((await catalog.auditOf(service, 1)).length, 1);
      await catalog.beginUndo(grant);
      await assert.rejects(tell('c.pkl'), fenced);
      assert.deepEqual(await told(), expected);
    });
  });
