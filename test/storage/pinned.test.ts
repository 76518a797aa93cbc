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

  test('answers Conflict when that happens while they are read', async () => {
    const pinned = await store.put('iris', 'weights', '20260101', randomBytes(6_000_000));
    store.proxy.faults.push({ match: /^GET .*20260101/, cutAfter: 2_000_000 });
    const stream = await store.storage.read(pinned);
    await store.put('iris', 'weights', '20260101', randomBytes(6_000_000));
    await assert.rejects(buffer(stream), { type: 'Conflict' });
  });
});
