import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SlipwayError } from '../../contract/errors.js';
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
    for (const size of [70, 80]) {
      const began = Date.now();
      await assert.rejects(append(registry, source, { 'model.bin': noise(size * MiB) }), (error: unknown) => {
        assert.ok(error instanceof SlipwayError, String(error));
        assert.equal(error.type, 'PushFailed');
        assert.match(
          error.message,
          /^uploading layer "sha256:.*" to "slipway\/sample": disk full on the registry/,
        );
        return true;
      });
      assert.ok(Date.now() - began < 20_000);
    }
    assert.deepEqual(await registry.listTags(repository), []);
    await verifyPushed(registry, served, watch().signal);
  });
});
