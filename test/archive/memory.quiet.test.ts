import assert from 'node:assert/strict';
import type { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { ZipFile } from 'yazl';
import { s3Storage } from '../../platform/storage/s3.js';
import { TestStore } from '../storage/store.js';
import { growthOf, mebibyte, noiseStream } from '../support/memory.js';

describe('weights much larger than memory', () => {
  let store: TestStore;
  before(async () => void (store = await TestStore.open()));
  after(() => store.close());

  test('are indexed and downloaded in a process that stays small', { timeout: 900_000 }, async () => {
    const archive = new ZipFile();
    archive.addReadStream(noiseStream(240 * mebibyte), 'large.bin', { compress: false });
    archive.addReadStream(noiseStream(32 * mebibyte), 'packed.bin', { compress: true });
    archive.end();
    await s3Storage(store.direct).put('iris/model/20260101.zip', archive.outputStream as Readable);
    const env = { STORE: JSON.stringify(store.direct), CACHE: store.cache.path };
    const { mebibytes, bytes } = await growthOf(new URL('./memory-child.js', import.meta.url), env);
    assert.ok(bytes >= 272 * mebibyte);
    assert.ok(mebibytes < 120, `grew by ${mebibytes} MiB`);
  });
});
