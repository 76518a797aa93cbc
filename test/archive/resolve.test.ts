import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import { readIndex, resolveArtifact } from '../../platform/archive/artifacts.js';
import { contentDigest } from '../../platform/archive/content.js';
import { digestLayer, planLayers } from '../../platform/images/layers.js';
import { zip } from '../support/models.js';
import { TestStore } from '../storage/store.js';
import { sha256 } from '../storage/sums.js';
import { rawZip } from './zips.js';

describe('an artifact that any S3 client put', () => {
  const large = randomBytes(5_000_000);
  const text = Buffer.from('some text, '.repeat(20_000));
  const files = { 'large.bin': large, 'nested/text.txt': text, 'nested/empty': Buffer.alloc(0) };
  let store: TestStore;
  before(async () => void (store = await TestStore.open()));
  after(() => store.close());
  beforeEach(() => (store.proxy.requests.length = 0));

  const resolve = (model: string, name = 'latest', kind: 'weights' | 'source' = 'weights') =>
    resolveArtifact(store.deps(), { model, kind, name }, store.watch());

  for (const compress of [false, true])
    test(`is validated and indexed when it is first read (${compress ? 'deflated' : 'stored'})`, async () => {
      const model = compress ? 'packed' : 'plain';
      const object = await store.put(model, 'weights', '20260101', await zip(files, { compress }));
      const artifact = await resolve(model);
      assert.deepEqual([artifact.name, artifact.object, artifact.files], ['20260101', object, 3]);
      assert.equal(artifact.bytes, large.length + text.length);
      const index = await readIndex(store.storage, artifact);
      const found = new Map(index.files.map((file) => [file.path, file]));
      for (const [path, content] of Object.entries(files)) {
        const file = found.get(path)!;
        assert.deepEqual([file.size, file.sha256], [content.length, sha256(content)]);
        assert.ok(await store.cache.has(file.sha256), 'it is in the cache already');
      }
      assert.equal(artifact.digest, contentDigest(index.files));
      const planned = planLayers(index.files);
      assert.deepEqual(
        index.layers.map((layer) => layer.files),
        planned.map((layer) => layer.files),
      );
      for (const { digest, size, files: paths } of index.layers) {
        const open = (path: string) => (start: number) => store.cache.open(found.get(path)!.sha256, start);
        const again = await digestLayer(paths.map((path) => ({ ...found.get(path)!, open: open(path) })));
        assert.deepEqual({ digest, size }, again);
      }
    });

  test('is not read again once it has an index', async () => {
    const first = await resolve('plain');
    store.proxy.requests.length = 0;
    assert.deepEqual(await resolve('plain'), first);
    assert.deepEqual(store.proxy.asked(/^GET .*20260101\.zip\?/), []);
  });

  test('is indexed again when its index is of another format or damaged', async () => {
    const first = await resolve('plain');
    for (const text of ['{"format":2}', '{"format":']) {
      await store.storage.put(first.index, Buffer.from(text));
      assert.deepEqual(await resolve('plain'), first);
    }
  });

  test('keeps its digest however the same files are packed', async () => {
    const [plain, packed] = [await resolve('plain'), await resolve('packed')];
    assert.notEqual(plain.object.etag, packed.object.etag);
    assert.equal(plain.digest, packed.digest);
  });

  test('gets another digest when a file is renamed or changed', async () => {
    const { digest } = await resolve('plain');
    const { 'large.bin': content, ...rest } = files;
    await store.put('renamed', 'weights', '20260101', await zip({ ...rest, 'other.bin': content }));
    assert.notEqual((await resolve('renamed')).digest, digest);
    await store.put('changed', 'weights', '20260101', await zip({ ...files, 'nested/empty': 'not' }));
    assert.notEqual((await resolve('changed')).digest, digest);
  });

  test('is pinned as it is now, also under a name used before', async () => {
    await store.put('again', 'weights', '20260101', await zip({ a: 'first' }));
    const first = await resolve('again');
    await store.put('again', 'weights', '20260101', await zip({ a: 'second' }));
    const second = await resolve('again');
    assert.notEqual(second.digest, first.digest);
    assert.notEqual(second.index, first.index);
    assert.equal((await readIndex(store.storage, first)).digest, first.digest);
  });

  test('has no layers when it is source', async () => {
    await store.put('plain', 'source', 'plain', await zip({ 'main.py': 'print()' }));
    const artifact = await resolve('plain', 'latest', 'source');
    assert.deepEqual([artifact.name, artifact.kind], ['plain', 'source']);
    assert.deepEqual((await readIndex(store.storage, artifact)).layers, []);
  });

  test('loses what macOS adds, and spellings are evened out', async () => {
    const entries = ['./a.txt', 'b//c.txt', '__MACOSX/._a.txt', 'b/.DS_Store'].map((name) => ({ name }));
    await store.put('tidy', 'weights', '20260101', rawZip(entries));
    const index = await readIndex(store.storage, await resolve('tidy'));
    assert.deepEqual(
      index.files.map(({ path }) => path),
      ['a.txt', 'b/c.txt'],
    );
  });

  test('is the newest date when the latest is asked for', async () => {
    for (const name of ['20260201', '20260301', '20251231'])
      await store.put('dated', 'weights', name, await zip({ a: name }));
    assert.equal((await resolve('dated')).name, '20260301');
    assert.equal((await resolve('dated', '20260201')).name, '20260201');
  });

  test('that is not there is named, with what is there instead', async () => {
    await assert.rejects(resolve('dated', '20260401'), {
      type: 'NotFound',
      message:
        'looking for weights "dated/model/20260401.zip": not found; there is 20260301, 20260201, 20251231',
    });
    await assert.rejects(resolve('nothing'), {
      type: 'NotFound',
      message: 'looking for weights "nothing/model/YYYYMMDD.zip": not found; the model has no weights yet',
    });
    await assert.rejects(resolve('dated', 'latest', 'source'), {
      type: 'NotFound',
      message: /dated\/src\/dated\.zip/,
    });
    await assert.rejects(resolve('dated', '20260230'), {
      type: 'InvalidInput',
      message: /not a date that exists/,
    });
  });

  test('tells how far its indexing is, and stops when it is cancelled', async () => {
    await store.put(
      'slow',
      'weights',
      '20260101',
      await zip({ a: randomBytes(9_000_000) }, { compress: false }),
    );
    const cancelled = new AbortController();
    let told = 0;
    const watch = {
      signal: cancelled.signal,
      onProgress: ({ done = 0, total = 0 }) => {
        told = done;
        if (done > total / 2) cancelled.abort(new Error('cancelled'));
      },
    };
    const cached = await store.cached();
    await assert.rejects(
      resolveArtifact(store.deps(), { model: 'slow', kind: 'weights', name: 'latest' }, watch),
      /cancelled|aborted/,
    );
    assert.ok(told > 4_500_000);
    assert.deepEqual(await store.cached(), cached);
  });

  test('goes on being indexed at the byte where its connection was cut', async () => {
    const bytes = await zip({ a: randomBytes(6_000_000) }, { compress: false });
    await store.put('cut', 'weights', '20260101', bytes);
    const whole = /^GET .*cut\/model\/20260101\.zip\?/;
    store.proxy.faults.push({ match: /^$/, cutAfter: 0 });
    // The first read is of the directory at the end of the archive.
    store.proxy.faults.splice(
      0,
      1,
      { match: whole, cutAfter: 2 ** 40 },
      { match: whole, cutAfter: 3_000_000 },
    );
    assert.equal((await resolve('cut')).bytes, 6_000_000);
    assert.ok(store.proxy.asked(whole).length >= 3);
  });
});
