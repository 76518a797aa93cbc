import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { createCipheriv, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { ZipFile } from 'yazl';
import { s3Storage } from '../../platform/storage/s3.js';
import { TestStore } from '../storage/store.js';

const mebibyte = 2 ** 20;

describe('weights much larger than memory', () => {
  let store: TestStore;
  before(async () => void (store = await TestStore.open()));
  after(() => store.close());

  test('are indexed and downloaded in a process that stays small', { timeout: 300_000 }, async () => {
    const archive = new ZipFile();
    archive.addReadStream(noise(400 * mebibyte), 'large.bin', { compress: false });
    archive.addReadStream(noise(32 * mebibyte), 'packed.bin', { compress: true });
    archive.end();
    await s3Storage(store.direct).put('iris/model/20260101.zip', archive.outputStream as Readable);
    const child = fork(fileURLToPath(new URL('./memory-child.js', import.meta.url)), [], {
      execArgv: ['--max-old-space-size=64'],
      env: { ...process.env, STORE: JSON.stringify(store.direct), CACHE: store.cache.path },
    });
    const [message] = (await once(child, 'message')) as [{ before: number; peak: number; read: number }];
    assert.ok(message.read >= 432 * mebibyte);
    const grown = (message.peak - message.before) / 1024;
    assert.ok(grown < 120, `grew by ${Math.round(grown)} MiB`);
  });
});

/** Bytes that do not compress, made fast. */
function noise(length: number): Readable {
  const cipher = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16));
  const zeros = Buffer.alloc(mebibyte);
  return Readable.from(
    (function* () {
      for (let made = 0; made < length; made += zeros.length) yield cipher.update(zeros);
    })(),
    { objectMode: false },
  );
}
