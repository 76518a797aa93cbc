import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { ensureFiles, readIndex, resolveArtifact, writeFiles } from '../../platform/archive/artifacts.js';
import { openCache } from '../../platform/cache.js';
import { zip } from '../support/models.js';
import { TestStore } from './store.js';

const root = process.getuid?.() === 0;

describe('a full disk', { skip: root ? false : 'mounting a small disk needs root' }, () => {
  let store: TestStore;
  let folder: string;
  before(async () => {
    store = await TestStore.open();
    folder = await mkdtemp(join(tmpdir(), 'slipway-full-'));
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'slipway-test', folder]);
    await mkdir(join(folder, 'context'));
  });
  after(async () => {
    await store.close();
    // Lazily: a test that failed may have left a file open there.
    await execa('umount', ['--lazy', folder]);
    await rm(folder, { recursive: true });
  });
  const wanted = { model: 'iris', kind: 'weights', name: 'latest' } as const;
  const full = (doing: RegExp) => (error: Error & { code?: string; folder?: string }) => {
    assert.equal(error.code, 'ENOSPC', String(error.stack));
    assert.ok(error.message.includes(`the disk of "${error.folder}" is full`), error.message);
    assert.match(error.message, doing);
    assert.ok(error.folder!.startsWith(folder));
    return true;
  };

  for (const compress of [false, true])
    test(`below the cache is named, and no half file takes its space (${compress ? 'deflated' : 'stored'})`, async () => {
      const bytes = await zip({ 'big.bin': randomBytes(6_000_000), 'small.txt': 'small' }, { compress });
      await store.put('iris', 'weights', '20260101', bytes);
      const cache = await openCache({ path: join(folder, 'cache'), maxBytes: 2 ** 30 });
      await assert.rejects(
        resolveArtifact({ ...store.deps(), cache }, wanted, store.watch()),
        full(/writing into the cache/),
      );
      assert.deepEqual(await readdir(join(cache.path, 'partial')), []);
      const artifact = await resolveArtifact(store.deps(), wanted, store.watch());
      const index = await readIndex(store.storage, artifact);
      const ensure = (paths: string[]) =>
        ensureFiles({ ...store.deps(), cache }, artifact, index, paths, store.watch());
      await assert.rejects(ensure(['big.bin']), full(/writing into the cache/));
      assert.deepEqual(await readdir(join(cache.path, 'partial')), []);
      assert.equal(await cache.has(index.files.find(({ path }) => path === 'big.bin')!.sha256), false);
      await ensure(['small.txt']);
      await assert.rejects(
        writeFiles(store.deps(), index, join(folder, 'context')),
        full(/^writing "(?:big\.bin|small\.txt)"/),
      );
      await rm(join(folder, 'context'), { recursive: true });
    });

  test('has the cache give up files that nobody uses before it gives in', async () => {
    const cache = await openCache({ path: join(folder, 'cache'), maxBytes: 2 ** 30 });
    const fill = async (bytes: number) => {
      const writer = await cache.create();
      await writer.write(randomBytes(bytes));
      return (await writer.commit()).digest;
    };
    const loose = await fill(1_500_000);
    const held = await fill(1_500_000);
    cache.lease([held]);
    await fill(2_000_000);
    assert.deepEqual([await cache.has(loose), await cache.has(held)], [false, true]);
    const writer = await cache.create();
    await assert.rejects(writer.write(randomBytes(4_000_000)), full(/writing into the cache/));
    await writer.discard();
    assert.equal(await cache.has(held), true);
  });
});
