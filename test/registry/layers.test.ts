import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { extract } from 'tar-stream';
import {
  digestLayer,
  largeBytes,
  layerBlob,
  layerHasher,
  opaqueLayer,
  planLayers,
  type LayerFile,
} from '../../platform/images/layers.js';
import { noise, sha256, streamOf } from './sample.js';

const fileOf = (path: string, bytes: Buffer): LayerFile => ({
  path,
  size: bytes.length,
  open: (start) => streamOf(bytes, start),
});
const sized = (path: string, size: number) => ({ path, size });
const groupsOf = (layers: { files: string[] }[]) =>
  new Map(layers.flatMap(({ files }) => files.map((file) => [file, files.join()] as const)));

describe('layers of weights', () => {
  test('a large file has a layer of its own, small files share at most 16', () => {
    const large = Array.from({ length: 60 }, (_, at) => sized(`big/${at}.bin`, largeBytes));
    const small = Array.from({ length: 500 }, (_, at) => sized(`small/${at}.json`, largeBytes - 1));
    const layers = planLayers([...small, ...large]);
    for (const { path } of large)
      assert.ok(
        layers.some(({ files }) => files.join() === path),
        path,
      );
    assert.equal(layers.length, 60 + 16);
    assert.equal(layers.flatMap(({ files }) => files).length, 560);
  });

  test('the order in which files are given changes nothing', () => {
    const files = Array.from({ length: 90 }, (_, at) => sized(`f${at}`, at % 3 === 0 ? largeBytes : 10));
    assert.deepEqual(planLayers(files.toReversed()), planLayers(files));
  });

  test('a file more, or a file grown, moves no other file to another layer', () => {
    const files = Array.from({ length: 60 }, (_, at) => sized(`f${at}`, at % 2 === 0 ? largeBytes : 10));
    const before = groupsOf(planLayers(files));
    const more = groupsOf(planLayers([...files, sized('new-large', largeBytes), sized('new-small', 1)]));
    const moved = files.filter(({ path }) => before.get(path) !== more.get(path)?.replace(/,?new-small/, ''));
    assert.deepEqual(moved, []);
    const grown = groupsOf(planLayers(files.map((file) => ({ ...file, size: file.size + 1 }))));
    assert.deepEqual(grown, before);
  });

  test('however many files there are, weights take no more than 81 layers', () => {
    const files = Array.from({ length: 3000 }, (_, at) => sized(`f${at}`, at < 1500 ? largeBytes : 10));
    assert.equal(planLayers(files).length + 1, 81);
  });

  test('a file whose name means "removed" in an image is refused, with its name', () => {
    assert.throws(() => planLayers([sized('a/.wh.b', 1)]), /InvalidInput|"a\/\.wh\.b"/);
    assert.throws(() => planLayers([sized('.wh.a/b', 1)]), { type: 'InvalidInput' });
    assert.ok(planLayers([sized('a.wh.b', 1)]));
  });

  test('a layer is a tar with the files below /app/model, owned by root, without a clock', async () => {
    const long = `deep/${'x'.repeat(120)}/${'y'.repeat(120)}/weights.bin`;
    const contents: Record<string, Buffer> = {
      'model.bin': noise(5000),
      'größe/数.txt': Buffer.from('utf-8'),
      [long]: noise(512),
      empty: Buffer.alloc(0),
    };
    const files = Object.entries(contents).map(([path, bytes]) => fileOf(path, bytes));
    const layer = await digestLayer(files);
    const found: Record<string, Buffer> = {};
    const folders: string[] = [];
    const tar = extract();
    (await layerBlob(layer, files).open(0)).pipe(tar);
    for await (const entry of tar) {
      const { name, type, mode, uid, gid, mtime } = entry.header;
      assert.deepEqual([uid, gid, mtime?.getTime()], [0, 0, 0], name);
      assert.equal(mode, type === 'directory' ? 0o755 : 0o644, name);
      if (type === 'directory') folders.push(name);
      else found[name] = await buffer(entry);
      entry.resume();
    }
    assert.deepEqual(
      found,
      Object.fromEntries(Object.entries(contents).map(([path, bytes]) => [`app/model/${path}`, bytes])),
    );
    assert.deepEqual(folders.slice(0, 3), ['app/', 'app/model/', 'app/model/deep/']);
    assert.deepEqual(folders, folders.toSorted());
  });

  test('the bytes of a layer never change from one version of Slipway to the next', async () => {
    // Indexes in storage name these digests: what they name must come out again. Else: raise the index format.
    const files = [
      fileOf('a.txt', Buffer.from('anchor')),
      fileOf(`é/${'n'.repeat(150)}`, Buffer.alloc(1024, 'n')),
    ];
    assert.deepEqual(await digestLayer(files), {
      digest: 'sha256:b55e5d167bd35aefb336cd669d3e28a9629842a978aa3b1aa462bf8556782ec2',
      size: 7168,
    });
    assert.equal(
      (await opaqueLayer()).digest,
      'sha256:78f3df7cdbebb143172ac7cec2f600686930409f27190f94838d1fef2581d8bc',
    );
  });

  test('hashing a file while it passes by gives the digest that its layer has', async () => {
    for (const size of [0, 1, 511, 512, 100_000]) {
      const bytes = noise(size);
      const file = fileOf('dir/model.bin', bytes);
      const hasher = await layerHasher(file);
      for (let at = 0; at < size; at += 999) hasher.update(bytes.subarray(at, at + 999));
      assert.deepEqual(hasher.digest(), await digestLayer([file]), `${size} bytes`);
    }
  });

  test('a layer opened at any byte goes on from there, and only what lies behind is read', async () => {
    const contents = { 'a.bin': noise(700), 'b.bin': noise(200_000), 'c.bin': noise(512) };
    const opened: string[] = [];
    const files = Object.entries(contents).map(([path, bytes]) => ({
      ...fileOf(path, bytes),
      open: (start: number) => {
        opened.push(`${path}@${start}`);
        return streamOf(bytes, start);
      },
    }));
    const blob = layerBlob(await digestLayer(files), files);
    const whole = await buffer(await blob.open(0));
    assert.equal(sha256(whole), blob.digest);
    assert.equal(whole.length, blob.size);
    for (const start of [0, 1, 511, 512, 1536, 1700, 2048, 4000, 100_000, whole.length - 1, whole.length]) {
      const rest = await buffer(await blob.open(start));
      assert.ok(rest.equals(whole.subarray(start)), `from ${start}`);
    }
    opened.length = 0;
    await buffer(await blob.open(100_000));
    assert.equal(opened.length, 2);
    assert.match(opened[0]!, /^b\.bin@9\d+$/);
    assert.equal(opened[1], 'c.bin@0');
  });

  test('a file that is shorter or longer than it was indexed fails the layer, naming the file', async () => {
    for (const size of [99, 101]) {
      const file = { ...fileOf('model.bin', noise(100)), size };
      await assert.rejects(digestLayer([file]), /reading "model\.bin": (100|more) bytes/);
      const blob = layerBlob({ digest: sha256(Buffer.alloc(0)), size }, [file]);
      await assert.rejects(buffer(await blob.open(0)), /reading "model\.bin"/);
    }
  });

  test('a layer of gigabytes is read in constant memory', async () => {
    const piece = Buffer.alloc(1024 * 1024, 1);
    const size = 2 * 1024 * piece.length;
    const huge: LayerFile = {
      path: 'huge.bin',
      size,
      open: () =>
        Readable.from(
          (function* () {
            for (let at = 0; at < size; at += piece.length) yield piece;
          })(),
          { objectMode: false },
        ),
    };
    const before = process.memoryUsage().rss;
    const { size: layer } = await digestLayer([huge]);
    assert.equal(layer, size + 3 * 512 + 1024);
    assert.ok(process.memoryUsage().rss - before < 300 * 2 ** 20);
  });
});
