import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { buffer } from 'node:stream/consumers';
import { TestStore } from './store.js';

describe('a pinned version of an object', () => {
  let store: TestStore;
  before(async () => void (store = await TestStore.open()));
  after(() => store.close());

  test('keeps its bytes when it is overwritten in the middle of being read', async () => {
    const first = randomBytes(6_000_000);
    const pinned = await store.put('iris', 'weights', '20260101', first);
    store.proxy.faults.push({ match: /^GET .*20260101/, cutAfter: 2_000_000 });
    const stream = await store.storage.read(pinned);
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (chunks.length === 0) await store.put('iris', 'weights', '20260101', randomBytes(6_000_000));
      chunks.push(chunk);
    }
    assert.ok(Buffer.concat(chunks).equals(first));
    assert.equal(store.proxy.asked(/^GET .*20260101/).length, 2);
  });

  test('can be read in part', async () => {
    const pinned = await store.put('iris', 'weights', '20260102', Buffer.from('0123456789'));
    const read = async (start: number, end?: number) =>
      (
        await buffer(await store.storage.read(pinned, end === undefined ? { start } : { start, end }))
      ).toString();
    assert.equal(await read(3), '3456789');
    assert.equal(await read(2, 4), '234');
    assert.equal(await read(8, 99), '89');
    assert.equal(await read(10), '');
  });

  test('is current again when the version that replaced it is removed', async () => {
    const first = await store.put('iris', 'weights', '20260103', Buffer.from('first'));
    const second = await store.put('iris', 'weights', '20260103', Buffer.from('second'));
    await store.storage.remove(second);
    assert.deepEqual(await store.storage.stat(first.key), first);
    await store.storage.remove(second);
    assert.deepEqual(await store.storage.stat(first.key), first);
  });

  test('is said to be gone once it was deleted', async () => {
    const pinned = await store.put('iris', 'weights', '20260104', Buffer.from('gone'));
    await store.storage.remove(pinned);
    await assert.rejects(store.storage.read(pinned), { type: 'NotFound', message: /20260104\.zip.*deleted/ });
  });

  test('is listed newest first, without names that are not dates', async () => {
    for (const name of ['20251231', '20260230', '20260115', 'notes'])
      await store.put('tulip', 'weights', name, Buffer.from(name));
    const listed = await store.storage.list('tulip', 'weights');
    assert.deepEqual(
      listed.map(({ name }) => name),
      ['20260115', '20251231'],
    );
    assert.deepEqual(listed[0]!.object, await store.storage.stat(listed[0]!.object.key));
  });

  test('is found among more objects than one listing holds', async () => {
    await store.put('rose', 'weights', '20260101', Buffer.from('old'));
    for (let at = 0; at < 1010; at += 101)
      await Promise.all(
        Array.from({ length: 101 }, (_, index) =>
          store.put('rose', 'weights', `later note ${at + index}`, Buffer.from('-')),
        ),
      );
    await store.put('rose', 'weights', '20260201', Buffer.from('new'));
    const names = (await store.storage.list('rose', 'weights')).map(({ name }) => name);
    assert.deepEqual(names, ['20260201', '20260101']);
  });
});

describe('a bucket that keeps no versions', () => {
  let store: TestStore;
  before(async () => void (store = await TestStore.open({ versions: false })));
  after(() => store.close());

  test('answers Conflict for bytes that were overwritten, never other bytes', async () => {
    const pinned = await store.put('iris', 'source', 'iris', Buffer.from('first'));
    await store.put('iris', 'source', 'iris', Buffer.from('other'));
    await assert.rejects(store.storage.read(pinned), { type: 'Conflict', message: /iris\.zip.*overwritten/ });
  });

  test('answers Conflict when that happens while they are read', async () => {
    const pinned = await store.put('iris', 'weights', '20260101', randomBytes(6_000_000));
    store.proxy.faults.push({ match: /^GET .*20260101/, cutAfter: 2_000_000 });
    const stream = await store.storage.read(pinned);
    await store.put('iris', 'weights', '20260101', randomBytes(6_000_000));
    await assert.rejects(buffer(stream), { type: 'Conflict' });
  });

  test('keeps what replaced a version that is removed', async () => {
    const first = await store.put('iris', 'weights', '20260102', Buffer.from('first'));
    const second = await store.put('iris', 'weights', '20260102', Buffer.from('second'));
    await store.storage.remove(first);
    assert.deepEqual(await store.storage.stat(second.key), second);
  });
});
