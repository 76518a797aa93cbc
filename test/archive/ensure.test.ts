import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { hexOf, type Digest } from '../../contract/names.js';
import type { PinnedArtifact } from '../../contract/pipeline.js';
import { ensureFiles, readIndex, resolveArtifact, writeFiles } from '../../platform/archive/artifacts.js';
import type { ArtifactIndex } from '../../platform/archive/index.js';
import { zip } from '../support/models.js';
import { TestStore } from '../storage/store.js';

describe('files that a deployment needs', () => {
  const files: Record<string, Buffer> = {
    'one.bin': randomBytes(3_000_000),
    'two.bin': randomBytes(3_000_000),
  };
  for (let number = 0; number < 40; number++) files[`small/${number}.txt`] = Buffer.from(`small ${number}`);
  const archive = /^GET .*20260101\.zip\?/;
  let store: TestStore;
  let artifact: PinnedArtifact;
  let index: ArtifactIndex;
  before(async () => {
    store = await TestStore.open();
    await store.put('iris', 'weights', '20260101', await zip(files, { compress: false }));
    await store.put('iris', 'weights', '20260102', await zip(files, { compress: true }));
    artifact = await resolveArtifact(
      store.deps(),
      { model: 'iris', kind: 'weights', name: '20260101' },
      store.watch(),
    );
    index = await readIndex(store.storage, artifact);
  });
  after(() => store.close());
  beforeEach(async () => {
    for (const folder of ['files', 'partial'])
      for (const name of await readdir(join(store.cache.path, folder)))
        await rm(join(store.cache.path, folder, name), { recursive: true });
    store.proxy.requests.length = 0;
    store.proxy.faults.length = 0;
    store.proxy.sent = 0;
    store.seen.length = 0;
  });

  const all = Object.keys(files);
  const digestOf = (path: string): Digest => index.files.find((file) => file.path === path)!.sha256;
  const ensure = (paths: string[], from = artifact, of = index, watch = store.watch()) =>
    ensureFiles(store.deps(), from, of, paths, watch);
  const cachedBytes = (path: string) => readFile(store.cache.pathOf(digestOf(path)));

  test('are the only ones that are read', async () => {
    assert.deepEqual(await ensure(['two.bin']), { bytes: 3_000_000 });
    assert.ok((await cachedBytes('two.bin')).equals(files['two.bin']!));
    assert.ok(!(await store.cache.has(digestOf('one.bin'))));
    assert.ok(store.proxy.sent < 3_100_000, `${store.proxy.sent} bytes`);
    assert.deepEqual(store.seen.at(-1), {
      message: 'downloading iris/model/20260101.zip',
      done: 3_000_000,
      total: 3_000_000,
      unit: 'bytes',
    });
  });

  test('are not read when they are in the cache', async () => {
    await ensure(all);
    store.proxy.requests.length = 0;
    assert.deepEqual(await ensure(all), { bytes: 0 });
    assert.deepEqual(store.proxy.asked(archive), []);
  });

  test('are read together when they are small', async () => {
    const small = all.filter((path) => path.startsWith('small/'));
    await ensure(small);
    assert.equal(store.proxy.asked(archive).length, 1);
    for (const path of small) assert.ok((await cachedBytes(path)).equals(files[path]!));
  });

  test('come out of deflated archives too', async () => {
    const wanted = { model: 'iris', kind: 'weights', name: '20260102' } as const;
    const packed = await resolveArtifact(store.deps(), wanted, store.watch());
    const packedIndex = await readIndex(store.storage, packed);
    for (const path of ['one.bin', 'small/7.txt']) await store.cache.remove(digestOf(path));
    await ensure(['one.bin', 'small/7.txt'], packed, packedIndex);
    for (const path of ['one.bin', 'small/7.txt']) assert.ok((await cachedBytes(path)).equals(files[path]!));
  });

  test('go on at the byte where a connection was cut', async () => {
    store.proxy.faults.push({ match: archive, cutAfter: 2_000_000 });
    await ensure(['one.bin']);
    assert.ok((await cachedBytes('one.bin')).equals(files['one.bin']!));
    const [first, second] = store.proxy.asked(archive).map((line) => Number(/bytes=(\d+)-/.exec(line)?.[1]));
    assert.ok(second! > first! + 500_000, `resumed at ${second! - first!}`);
  });

  test('go on where an earlier process was killed', async () => {
    const hex = hexOf(digestOf('one.bin'));
    const left = join(store.cache.path, 'partial', `${hex}@${hostname()}@999999999@0`);
    await writeFile(left, files['one.bin']!.subarray(0, 2_000_000));
    assert.deepEqual(await ensure(['one.bin']), { bytes: 1_000_000 });
    assert.ok((await cachedBytes('one.bin')).equals(files['one.bin']!));
    assert.deepEqual(await readdir(join(store.cache.path, 'partial')), []);
  });

  test('are left for the next attempt as far as they came, and never shown half', async () => {
    const cancelled = new AbortController();
    const watch = {
      signal: cancelled.signal,
      onProgress: ({ done = 0 }) => void (done > 1_000_000 && cancelled.abort(new Error('cancelled'))),
    };
    await assert.rejects(ensure(['one.bin'], artifact, index, watch), /cancelled|aborted/);
    assert.ok(!(await store.cache.has(digestOf('one.bin'))));
    assert.deepEqual(await readdir(join(store.cache.path, 'partial')), [hexOf(digestOf('one.bin'))]);
    const { bytes } = await ensure(['one.bin']);
    assert.ok(bytes < 2_100_000 && bytes > 0, `${bytes} bytes`);
    assert.ok((await cachedBytes('one.bin')).equals(files['one.bin']!));
  });

  test('are read anew when what an earlier attempt left is damaged', async () => {
    await writeFile(join(store.cache.path, 'partial', hexOf(digestOf('one.bin'))), randomBytes(2_000_000));
    await ensure(['one.bin']);
    assert.ok((await cachedBytes('one.bin')).equals(files['one.bin']!));
  });

  test('are refused when their bytes are not the indexed ones', async () => {
    const wrong = {
      ...index,
      files: index.files.map((file) =>
        file.path === 'one.bin' ? { ...file, sha256: digestOf('small/1.txt') } : file,
      ),
    };
    await assert.rejects(ensure(['one.bin'], artifact, wrong), {
      type: 'InvalidInput',
      message: /reading "one\.bin" of "iris\/model\/20260101\.zip": expected sha256:\w+, got sha256:/,
    });
    assert.equal(store.proxy.asked(archive).length, 2);
    assert.deepEqual(await store.cached(), []);
  });

  test('are refused when they are not in the artifact', async () => {
    await assert.rejects(ensure(['nothing']), { type: 'InvalidInput', message: /"nothing".*no such file/ });
  });

  test('fail as one when the storage stays away, and leave no half file', async () => {
    for (let times = 0; times < 99; times++) store.proxy.faults.push({ match: archive, status: 503 });
    await assert.rejects(ensure(all), /reading "iris\/model\/20260101\.zip"/);
    assert.deepEqual(await readdir(join(store.cache.path, 'files')), []);
  });

  test('can be laid out in a folder as copies', async () => {
    await ensure(all);
    const folder = join(store.folder, 'context');
    await writeFiles(store.deps(), index, folder);
    for (const [path, content] of Object.entries(files))
      assert.ok((await readFile(join(folder, path))).equals(content));
    await writeFile(join(folder, 'one.bin'), 'changed');
    assert.ok((await cachedBytes('one.bin')).equals(files['one.bin']!));
    const escaping = { ...index, files: [{ ...index.files[0]!, path: '../escaped' }] };
    await assert.rejects(writeFiles(store.deps(), escaping, folder), {
      type: 'InvalidInput',
      message: /outside/,
    });
  });
});
