import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { after, afterEach, before, describe, test } from 'node:test';
import type { ObjectVersion } from '../../contract/pipeline.js';
import { untilTrue } from '../support/until.js';
import { TestStore } from './store.js';

describe('a download', () => {
  const bytes = randomBytes(8_000_000);
  const reads = /^GET .*20260101/;
  let store: TestStore;
  let object: ObjectVersion;
  before(async () => {
    store = await TestStore.open();
    object = await store.put('iris', 'weights', '20260101', bytes);
  });
  after(() => store.close());
  afterEach(() => {
    store.proxy.requests.length = 0;
    store.proxy.faults.length = 0;
  });

  test('goes on at the byte where its connection was cut, again and again', async () => {
    for (const cutAfter of [3_000_000, 1_000_000, 500_000])
      store.proxy.faults.push({ match: reads, cutAfter });
    const before = store.proxy.sent;
    assert.ok((await buffer(await store.storage.read(object))).equals(bytes));
    const starts = store.proxy.asked(reads).map((line) => Number(/bytes=(\d+)-/.exec(line)?.[1]));
    assert.equal(starts.length, 4);
    assert.deepEqual(
      starts,
      starts.toSorted((a, b) => a - b),
    );
    assert.ok(starts[1]! > 2_000_000, `resumed at ${starts[1]}`);
    assert.ok(store.proxy.sent - before < bytes.length * 1.2, 'bytes were sent again');
  });

  test('waits while the server answers 429 and 5xx', async () => {
    store.proxy.faults.push({ match: reads, cutAfter: 2_000_000 });
    for (const status of [503, 429, 500]) store.proxy.faults.push({ match: reads, status });
    assert.ok((await buffer(await store.storage.read(object))).equals(bytes));
    assert.equal(store.proxy.asked(reads).length, 5);
  });

  test('fails, never ends short, when the server does not come back', { timeout: 300_000 }, async () => {
    store.proxy.faults.push({ match: reads, cutAfter: 2_000_000 });
    for (let times = 0; times < 50; times++) store.proxy.faults.push({ match: reads, status: 503 });
    const stream = await store.storage.read(object);
    const got: Buffer[] = [];
    await assert.rejects(
      async () => {
        for await (const chunk of stream as AsyncIterable<Buffer>) got.push(chunk);
      },
      (error: Error) => {
        assert.match(error.message, /^reading "iris\/model\/20260101\.zip"/);
        assert.match(String((error.cause as Error).message), /503/);
        assert.ok(
          !/X-Amz-/.test(JSON.stringify([error.message, String(error.cause)])),
          'no signed URL is told',
        );
        return true;
      },
    );
    const part = Buffer.concat(got);
    assert.ok(part.length < bytes.length && part.equals(bytes.subarray(0, part.length)));
  });

  test('stops at once when it is cancelled', async () => {
    const cancelled = new AbortController();
    const stream = await store.storage.read(object, undefined, cancelled.signal);
    setImmediate(() => cancelled.abort(new Error('cancelled')));
    await assert.rejects(buffer(stream), /cancelled|aborted/);
    assert.equal(store.proxy.asked(reads).length, 1);
  });

  test('that nobody reads closes its connection', async () => {
    const open = store.proxy.connections;
    const streams = await Promise.all(Array.from({ length: 5 }, () => store.storage.read(object)));
    assert.ok(store.proxy.connections > open);
    for (const stream of streams) stream.destroy();
    await untilTrue(() => store.proxy.connections <= open, 60_000);
  });

  test('survives lost answers of small calls too', async () => {
    store.proxy.faults.push({ match: /^HEAD/, cutAfter: 0 }, { match: /^HEAD/, status: 503 });
    assert.deepEqual(await store.storage.stat(object.key), object);
    // As proxies answer: without anything in it that S3 would say.
    for (const status of [507, 520, 502]) store.proxy.faults.push({ match: /^HEAD/, status });
    assert.deepEqual(await store.storage.stat(object.key), object);
    assert.equal(store.proxy.faults.length, 0);
    store.proxy.faults.push({ match: /^GET .*versions/, cutAfter: 100 });
    assert.equal((await store.storage.list('iris', 'weights')).length, 1);
  });
});
