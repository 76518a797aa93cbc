import assert from 'node:assert/strict';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { ZipFile } from 'yazl';
import { TestStore } from '../storage/store.js';
import { growthOf, mebibyte, noiseStream } from '../support/memory.js';
import { testStack } from '../support/stack.js';
import { TestApi } from './server.js';

test('weights much larger than memory are uploaded by a client that stays small', async (t) => {
  const store = await TestStore.open();
  t.after(() => store.close());
  const cache = { path: store.cache.path, maxBytes: 2 ** 40 };
  const api = await TestApi.start({ ...(await testStack()), s3: store.direct, cache });
  t.after(() => api.close());
  const size = 240 * mebibyte;
  const archive = new ZipFile();
  archive.addReadStream(noiseStream(size), 'large.bin', { compress: false });
  archive.end();
  const file = join(store.folder, 'large.zip');
  await pipeline(archive.outputStream, createWriteStream(file));
  const { mebibytes, bytes } = await growthOf(new URL('./memory-child.js', import.meta.url), {
    API: api.url,
    TOKEN: api.stack.token,
    FILE: file,
  });
  assert.equal(bytes, size);
  assert.ok(mebibytes < 120, `grew by ${mebibytes} MiB`);
});
