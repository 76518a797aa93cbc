import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SlipwayError } from '../../contract/errors.js';
import type { ImageRef } from '../../contract/names.js';
import { verifyPushed } from '../../platform/images/publish.js';
import { TestRegistry } from '../support/registry.js';
import { append, MiB, noise, putSourceImage, repository, watch } from './sample.js';

describe('the disk of the registry is full', () => {
  let server: TestRegistry;
  before(async () => {
    server = await TestRegistry.start({ megabytes: 60 });
  });
  after(() => server.stop());

  test('the push fails and says so, no part of an image appears, and what was there stays', async () => {
    const registry = server.client();
    const source = await putSourceImage(registry);
    const { image: served } = await append(registry, source, { 'model.bin': noise(5 * MiB) });
    // Images have no tags, so that this alone shows what there is of them.
    const whole = await server.manifests(repository);
    assert.ok(whole.includes(served.digest));
    for (const size of [70, 80]) {
      const began = Date.now();
      const weights = { 'model.bin': noise(size * MiB), 'small.txt': noise(10) };
      await assert.rejects(append(registry, source, weights), (error: unknown) => {
        assert.ok(error instanceof SlipwayError, String(error));
        assert.equal(error.type, 'PushFailed');
        assert.match(
          error.message,
          /^uploading layer "sha256:.*" to "slipway\/sample": disk full on the registry/,
        );
        return true;
      });
      assert.ok(Date.now() - began < 90_000);
    }
    assert.deepEqual(await server.manifests(repository), whole);
    assert.deepEqual(await registry.listTags(repository), []);
    await verifyPushed(registry, served, watch().signal);
    // An upload whose state it had no room to write, this registry lets nobody continue or cancel; it clears them in time.
    await server.forgetUploads(repository);
    const { image } = await append(registry, source, { 'model.bin': noise(20 * MiB) });
    await verifyPushed(registry, image, watch().signal);
  });

  test('there is no room for the manifest itself: the image is not there, and no later push of it passes for whole', async () => {
    const registry = server.client();
    const source = await putSourceImage(registry);
    const weights = { 'model.bin': noise(MiB) };
    const before = await server.manifests(repository);
    let refused: ImageRef | undefined;
    const push = append(registry, source, weights, {
      putManifest: async (image, put) => {
        refused = image;
        await server.fill();
        await put();
      },
    });
    await assert.rejects(push, (error: unknown) => {
      assert.ok(error instanceof SlipwayError, String(error));
      assert.equal(error.type, 'PushFailed');
      assert.match(error.message, /^putting manifest .*: disk full on the registry/);
      return true;
    });
    assert.deepEqual(await server.manifests(repository), before);
    assert.equal(await registry.headManifest(repository, refused!.digest), null);
    await server.unfill();
    // The registry keeps an empty manifest, and takes it for the one that is pushed again: a pull would fail.
    await append(registry, source, weights);
    await assert.rejects(verifyPushed(registry, refused!, watch().signal), /reading manifest .* 500/);
    await registry.deleteManifest(repository, refused!.digest);
    await server.collect();
    const { image } = await append(registry, source, weights);
    assert.deepEqual(image, refused);
    await verifyPushed(registry, image, watch().signal);
  });
});
