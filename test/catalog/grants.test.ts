import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Catalog } from '../../platform/catalog/index.js';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { digest, grantTo, neverCalled, run } from './fixtures.js';
import { OwnPostgres } from './own-postgres.js';

const fenced = { type: 'Conflict', message: /^fenced: / };
const effect = {
  kind: 'replica',
  key: 'replica-0',
  target: 'docker',
  node: 'local',
  name: 'slipway-iris.r1-0',
} as const;

describe('who may change a service', () => {
  let server: OwnPostgres;
  let url: string;
  let catalog: Catalog;
  let databases = 0;
  before(async () => {
    server = await OwnPostgres.start();
  });
  after(() => server.close());
  beforeEach(async () => {
    url = await server.database(`grants_${(databases += 1)}`);
    catalog = await postgresCatalog(url);
  });

  afterEach(() => catalog.close());

  test('twenty at once get twenty growing tokens, and one of them holds the service', async () => {
    const others = await Promise.all([1, 2, 3].map(() => postgresCatalog(url)));
    const catalogs = [catalog, ...others];
    const tokens = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        catalogs[index % 4]!.openGrant('iris', run(String(index)), 0).then((token) => ({ token, index })),
      ),
    );
    assert.deepEqual(
      tokens.map(({ token }) => token).sort((a, b) => a - b),
      Array.from({ length: 20 }, (_, index) => index + 1),
    );
    const last = tokens.find(({ token }) => token === 20)!;
    const record = await catalog.getService('iris');
    assert.equal(record?.token, 20);
    assert.deepEqual(record.holder, run(String(last.index)));
    await Promise.all(others.map((other) => other.close()));
  });

  test('the same deployment asking twenty times at once gets one token', async () => {
    const tokens = await Promise.all(
      Array.from({ length: 20 }, () => catalog.openGrant('iris', run('a'), 0)),
    );
    assert.deepEqual([...new Set(tokens)], [1]);
  });

  test('a token is above the floor, when the database has forgotten what the owner knows', async () => {
    assert.equal(await catalog.openGrant('iris', run('a'), 41), 42);
    assert.equal(await catalog.openGrant('iris', run('b'), 7), 43);
  });

  test('a request that comes late, after its deployment has ended, takes nothing from the next one', async () => {
    const first = await grantTo(catalog, 'iris', 'first');
    await catalog.closeGrant(first, 'failed');
    const second = await grantTo(catalog, 'iris', 'second');
    assert.equal(await catalog.openGrant('iris', first.deployment, 0), first.token);
    assert.deepEqual((await catalog.getService('iris'))?.holder, second.deployment);
    await catalog.recordEffect(second, effect);
    await assert.rejects(catalog.recordEffect(first, effect), fenced);
  });

  test('a deployment that lost the service to another can do nothing more', async () => {
    const lost = await grantTo(catalog, 'iris', 'lost');
    const entry = await catalog.recordEffect(lost, effect);
    const winner = await grantTo(catalog, 'iris', 'winner');
    await assert.rejects(catalog.recordEffect(lost, { ...effect, key: 'replica-1' }), fenced);
    assert.equal(await catalog.completeEffect(entry), false);
    await catalog.beginUndo(lost);
    await catalog.closeGrant(lost, 'failed');
    await assert.rejects(catalog.closeGrant(lost, 'succeeded'), fenced);
    assert.deepEqual((await catalog.getService('iris'))?.holder, winner.deployment);
    await catalog.recordEffect(winner, effect);
  });

  test('a token alone opens nothing: it must be the same run of the same workflow', async () => {
    const grant = await grantTo(catalog, 'iris', 'a');
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
    const grant = await grantTo(catalog, 'iris', 'a');
    const entry = await catalog.recordEffect(grant, effect);
    await catalog.beginUndo(grant);
    await catalog.beginUndo(grant);
    assert.equal(await catalog.completeEffect(entry), false);
    await assert.rejects(catalog.recordEffect(grant, { ...effect, key: 'replica-1' }), fenced);
    assert.deepEqual((await catalog.getService('iris'))?.holder, grant.deployment);
    assert.deepEqual(await catalog.openEffects('iris', grant.token), [entry]);
  });

  test('what is being undone is never called a success', async () => {
    const grant = await grantTo(catalog, 'iris', 'a');
    await catalog.beginUndo(grant);
    await assert.rejects(catalog.closeGrant(grant, 'succeeded'), fenced);
    await catalog.closeGrant(grant, 'lost');
    await assert.rejects(catalog.closeGrant(grant, 'succeeded'), fenced);
    await catalog.closeGrant(grant, 'failed');
  });

  test('an effect recorded at the same moment as the undo begins is either seen by it or refused', async () => {
    for (let round = 0; round < 20; round += 1) {
      const grant = await grantTo(catalog, 'iris', String(round));
      const recording = catalog.recordEffect(grant, effect).then(
        () => true,
        () => false,
      );
      const undoing = catalog.beginUndo(grant).then(() => catalog.openEffects('iris', grant.token));
      const [recorded, seen] = await Promise.all([recording, undoing]);
      assert.equal(seen.length === 1, recorded);
      await catalog.closeGrant(grant, 'failed');
    }
  });

  test('repeated after a lost reply, closing changes nothing', async () => {
    const grant = await grantTo(catalog, 'iris', 'a');
    const entry = await catalog.recordEffect(grant, effect);
    await catalog.completeEffect(entry);
    await catalog.closeGrant(grant, 'succeeded');
    const before = await catalog.getService('iris');
    await catalog.closeGrant(grant, 'succeeded');
    assert.deepEqual(await catalog.getService('iris'), before);
    // An attempt presumed dead comes back: its replica serves now, and must not be taken back by it.
    assert.equal(await catalog.completeEffect(entry), true);
    await catalog.markUndone(entry.id);
    assert.equal(await catalog.completeEffect(entry), true);
  });
});

describe('the effect journal', () => {
  let server: OwnPostgres;
  let catalog: Catalog;
  before(async () => {
    server = await OwnPostgres.start();
    catalog = await postgresCatalog(await server.database('journal'));
  });
  after(async () => {
    await catalog.close();
    await server.close();
  });

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
