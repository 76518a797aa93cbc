import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { hexOf, type Digest } from '../../contract/names.js';
import { openCache, type Cache } from '../../platform/cache.js';
import { sha256 } from './sums.js';

describe('the cache', () => {
  let path: string;
  beforeEach(async () => void (path = await mkdtemp(join(tmpdir(), 'slipway-cache-'))));
  afterEach(() => rm(path, { recursive: true }));

  const fill = async (cache: Cache, content: Buffer): Promise<Digest> => {
    const writer = await cache.create();
    await writer.write(content);
    return (await writer.commit()).digest;
  };
  /** As if the file had last been used so many minutes ago. */
  const age = async (cache: Cache, digest: Digest, minutes: number): Promise<void> => {
    const then = new Date(Date.now() - minutes * 60_000);
    await utimes(cache.pathOf(digest), then, then);
  };

  test('shows a file only when it is whole', async () => {
    const cache = await openCache({ path, maxBytes: 2 ** 30 });
    const content = randomBytes(100_000);
    const writer = await cache.create();
    await writer.write(content.subarray(0, 60_000));
    assert.equal(await cache.has(sha256(content)), false);
    assert.deepEqual(await readdir(cache.path + '/files'), []);
    await writer.write(content.subarray(60_000));
    assert.deepEqual(await writer.commit(), { digest: sha256(content), size: 100_000 });
    assert.equal(await cache.has(sha256(content)), true);
    assert.ok((await buffer(await cache.open(sha256(content), 50_000))).equals(content.subarray(50_000)));
  });

  test('refuses bytes of another digest and keeps nothing of them', async () => {
    const cache = await openCache({ path, maxBytes: 2 ** 30 });
    const writer = await cache.resume(sha256(Buffer.from('expected')));
    await writer.write(Buffer.from('other'));
    await assert.rejects(writer.commit(sha256(Buffer.from('expected'))), { name: 'DigestMismatchError' });
    assert.deepEqual(await readdir(join(path, 'partial')), []);
    assert.deepEqual(await readdir(join(path, 'files')), []);
  });

  test('gives a cut file to one attempt only', async () => {
    const cache = await openCache({ path, maxBytes: 2 ** 30 });
    const content = randomBytes(1000);
    const cut = await cache.resume(sha256(content));
    await cut.write(content.subarray(0, 400));
    await cut.keep();
    const attempts = await Promise.all([cache.resume(sha256(content)), cache.resume(sha256(content))]);
    assert.deepEqual(attempts.map(({ length }) => length).toSorted(), [0, 400]);
    for (const attempt of attempts) {
      await attempt.write(content.subarray(attempt.length));
      await attempt.commit(sha256(content));
    }
    assert.deepEqual(await readdir(join(path, 'partial')), []);
  });

  test('evicts what was used longest ago when it is full', async () => {
    const cache = await openCache({ path, maxBytes: 1_000_000 });
    const digests: Digest[] = [];
    for (const minutes of [60, 50, 40]) {
      digests.push(await fill(cache, randomBytes(300_000)));
      await age(cache, digests.at(-1)!, minutes);
    }
    await cache.has(digests[0]!);
    for (let more = 0; more < 2; more++) digests.push(await fill(cache, randomBytes(300_000)));
    const left = await Promise.all(digests.map((digest) => cache.has(digest)));
    // The first one was just used, so the second one had to go.
    assert.deepEqual(left, [true, false, true, true, true]);
    const sizes = await Promise.all(
      (await readdir(join(path, 'files'), { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size),
    );
    assert.ok(sizes.reduce((a, b) => a + b, 0) <= 1_300_000);
  });

  test('does not evict what is in use', async () => {
    const cache = await openCache({ path, maxBytes: 100_000 });
    const held = await fill(cache, randomBytes(90_000));
    const release = cache.lease([held]);
    await age(cache, held, 60);
    const loose = await fill(cache, randomBytes(90_000));
    await age(cache, loose, 50);
    await fill(cache, randomBytes(90_000));
    assert.deepEqual([await cache.has(held), await cache.has(loose)], [true, false]);
    release();
    await age(cache, held, 60);
    await fill(cache, randomBytes(90_000));
    assert.equal(await cache.has(held), false);
  });

  test('is rid of what killed processes left behind', async () => {
    const hex = hexOf(sha256(Buffer.from('any')));
    const dead = `${hostname()}@999999999@0`;
    await openCache({ path, maxBytes: 2 ** 30 });
    for (const name of [`new-file@${dead}`, `${hex}@${dead}`, hex])
      await writeFile(join(path, 'partial', name), 'x');
    const alive = `new-file@${hostname()}@${process.pid}@0`;
    await writeFile(join(path, 'partial', alive), 'x');
    await openCache({ path, maxBytes: 2 ** 30 });
    assert.deepEqual(
      (await readdir(join(path, 'partial'))).toSorted(),
      [alive, hex, `${hex}@${dead}`].toSorted(),
    );
    const lastWeek = new Date(Date.now() - 7 * 24 * 3_600_000);
    await utimes(join(path, 'partial', hex), lastWeek, lastWeek);
    await openCache({ path, maxBytes: 2 ** 30 });
    assert.ok(!(await readdir(join(path, 'partial'))).includes(hex));
  });
});
