import assert from 'node:assert/strict';
import { access, rm } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import type { ImageRef } from '../../contract/names.js';
import { composeWithWeights, planPush } from '../../platform/images/append.js';
import type { Registry } from '../../platform/images/index.js';
import { putTag, tagOf, verifyPushed, withdraw } from '../../platform/images/publish.js';
import { TestRegistry } from '../support/registry.js';
import { append, indexOf, MiB, noise, putSourceImage, repository, watch } from './sample.js';

describe('appending weights to an image in the registry', () => {
  let server: TestRegistry;
  let registry: Registry;
  let source: ImageRef;
  const weights = {
    'one.bin': noise(5 * MiB),
    'two.bin': noise(6 * MiB),
    'labels.json': Buffer.from('["a","b"]'),
  };
  before(async () => {
    server = await TestRegistry.start();
    registry = server.client();
    source = await putSourceImage(registry);
  });
  after(() => server.stop());

  const manifestOf = async (image: ImageRef) =>
    (await registry.getManifest(image.repository, image.digest))!.manifest;
  const configOf = async (image: ImageRef) =>
    JSON.parse(
      (await registry.readBlob(image.repository, (await manifestOf(image)).config.digest)).toString(),
    ) as {
      config: { Env: string[]; Labels: Record<string, string>; Cmd: string[] };
      rootfs: { diff_ids: string[] };
      history: unknown[];
    };

  test('the image is the source image with the weights on top, in OCI media types only', async () => {
    const { image, layers } = await append(registry, source, weights);
    const { manifest, raw } = (await registry.getManifest(repository, image.digest))!;
    assert.equal(layers, 1 + 1 + 3);
    assert.equal(manifest.layers.length, layers);
    assert.ok(!raw.toString().includes('vnd.docker'), raw.toString());
    assert.equal(manifest.annotations?.['dev.slipway.weights.from'], '1');
    const config = await configOf(image);
    assert.deepEqual(
      config.rootfs.diff_ids.slice(1),
      manifest.layers.slice(1).map(({ digest }) => digest),
    );
    assert.equal(config.history.length, layers);
    assert.deepEqual(config.config.Cmd, ['/app/src/main.py']);
  });

  test('the same source and weights make the same image, and nothing is sent or read twice', async () => {
    const first = await append(registry, source, weights);
    const read: string[] = [];
    const again = await append(registry, source, weights, { read });
    assert.deepEqual(again.image, first.image);
    assert.deepEqual(again.sent, { layers: 0, bytes: 0 });
    assert.deepEqual(read, []);
  });

  test('one file changed: only its layer is sent, only it is read', async () => {
    await append(registry, source, weights);
    const changed = { ...weights, 'two.bin': noise(6 * MiB) };
    const index = await indexOf(changed);
    const plan = await planPush(registry, repository, source, index);
    assert.deepEqual(
      plan.missing.map(({ files }) => files),
      [['two.bin']],
    );
    const read: string[] = [];
    const { sent } = await append(registry, source, changed, { read });
    assert.deepEqual([...new Set(read)], ['two.bin']);
    assert.deepEqual(sent, { layers: 1, bytes: plan.bytes });
    assert.ok(sent.bytes <= 1.02 * 6 * MiB);
  });

  test('planning tells what will be sent, and changes nothing', async () => {
    const fresh = { 'plan.bin': noise(4 * MiB), 'small.txt': Buffer.from('plan') };
    const index = await indexOf(fresh);
    for (let again = 0; again < 2; again++) {
      const plan = await planPush(registry, repository, source, index);
      assert.equal(plan.layers, 1 + 1 + 2);
      assert.deepEqual(
        plan.missing.map(({ digest }) => digest).sort(),
        index.layers.map(({ digest }) => digest).sort(),
      );
      assert.equal(
        plan.bytes,
        index.layers.reduce((sum, { size }) => sum + size, 0),
      );
    }
    const without = await planPush(registry, 'slipway/never-seen', null, index);
    assert.equal(without.layers, 3);
  });

  test('environment and labels are added to those of the source image', async () => {
    const config = { env: { MODEL_NAME: 'sample' }, labels: { 'slipway.managed': 'true' } };
    const { image } = await append(registry, source, weights, { config });
    const written = (await configOf(image)).config;
    assert.deepEqual(written.Env, ['PATH=/usr/bin', 'MODEL_NAME=sample']);
    assert.deepEqual(written.Labels, { 'slipway.managed': 'true' });
  });

  test('a source image of another repository will do: its layers are mounted, not sent', async () => {
    const elsewhere = await putSourceImage(registry, { into: 'slipway/elsewhere' });
    const { image, sent } = await append(registry, elsewhere, weights, { repository: 'slipway/mounted' });
    await verifyPushed(registry, image, watch().signal);
    const index = await indexOf(weights);
    // Weights are new to that repository, the source's layers are not sent.
    assert.ok(sent.layers <= index.layers.length + 1);
    assert.equal(
      (await manifestOf(image)).layers[0]!.digest,
      (await manifestOf(elsewhere)).layers[0]!.digest,
    );
  });

  test('a pushed image has no name until it is given one, and none after it is withdrawn', async () => {
    const { image } = await append(registry, source, { 'tagged.txt': noise(100) });
    const before = await registry.listTags(repository);
    const tag = tagOf(image, '20260131');
    assert.ok(!before.includes(tag));
    await putTag(registry, image, tag);
    await putTag(registry, image, tag);
    assert.equal(await registry.headManifest(repository, tag), image.digest);
    await withdraw(registry, image);
    await withdraw(registry, image);
    assert.equal(await registry.headManifest(repository, tag), null);
    assert.equal(await registry.getManifest(repository, image.digest), null);
    await assert.rejects(putTag(registry, image, tag), { type: 'NotFound' });
  });

  test('the caller writes the image down before its manifest exists', async () => {
    const order: string[] = [];
    const { image } = await append(
      registry,
      source,
      { 'journal.txt': noise(100) },
      {
        putManifest: async (ref, put) => {
          order.push((await registry.headManifest(ref.repository, ref.digest)) === null ? 'absent' : 'there');
          await put();
          order.push(
            (await registry.headManifest(ref.repository, ref.digest)) === ref.digest ? 'there' : '?',
          );
        },
      },
    );
    assert.deepEqual(order, ['absent', 'there']);
    assert.ok(await registry.getManifest(repository, image.digest));
  });

  test('a source image with too many steps is refused before anything is sent', async () => {
    const many = await putSourceImage(registry, { into: 'slipway/many', extraLayers: 97 });
    const read: string[] = [];
    await assert.rejects(append(registry, many, weights, { read }), (error: Error) => {
      assert.match(error.message, /98 layers of the source image and 4 of weights are more than the 100/);
      return (error as { type?: string }).type === 'PushFailed';
    });
    assert.deepEqual(read, []);
  });

  test('an image that cannot be pulled does not pass as pushed, and pushing again mends it', async () => {
    const precious = { 'precious.bin': noise(4 * MiB) };
    const { image } = await append(registry, source, precious);
    const { digest } = (await indexOf(precious)).layers[0]!;
    // The server keeps in memory that it has the blob, as after a garbage collection.
    await rm(server.blobPath(digest));
    await assert.rejects(verifyPushed(registry, image, watch().signal), new RegExp(`layer "${digest}"`));
    const again = await append(registry, source, precious);
    assert.deepEqual(again.image, image);
    await access(server.blobPath(digest));
    await verifyPushed(registry, image, watch().signal);
  });

  test('a new source is given the weights of an image that is there, without reading a file', async () => {
    const { image } = await append(registry, source, weights);
    const newSource = await putSourceImage(registry, { extraLayers: 2 });
    const composed = await composeWithWeights(registry, newSource, image);
    const { image: appended } = await append(registry, newSource, weights);
    assert.deepEqual(composed, appended);
    await assert.rejects(composeWithWeights(registry, newSource, source), {
      type: 'InvalidInput',
      message: /was not made by Slipway/,
    });
  });
});
