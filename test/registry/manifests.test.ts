import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Digest } from '../../contract/names.js';
import { imageForPlatform, parseManifest, toOci } from '../../platform/images/manifest.js';
import { TestRegistry } from '../support/registry.js';
import { append, noise, putSourceImage, repository, sha256 } from './sample.js';

const digest = sha256(Buffer.from('x'));
const index = 'application/vnd.oci.image.index.v1+json';
const listOf = (...architectures: string[]) =>
  Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: index,
      manifests: architectures.map((architecture) => ({
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest: sha256(Buffer.from(architecture)),
        size: 1,
        platform: { os: 'linux', architecture },
      })),
    }),
  );

describe('manifests', () => {
  let server: TestRegistry;
  before(async () => {
    server = await TestRegistry.start();
  });
  after(() => server.stop());

  test('of a list of images, the one for this platform is taken', () => {
    const list = parseManifest('reading', listOf('arm64', 'amd64'), undefined);
    assert.ok(list.kind === 'list');
    assert.equal(imageForPlatform('reading', list, 'amd64'), sha256(Buffer.from('amd64')));
    assert.throws(() => imageForPlatform('reading manifest "a:b"', list, 's390x'), {
      type: 'InvalidInput',
      message:
        'reading manifest "a:b": a list of images without one for linux/s390x; there is linux/arm64, linux/amd64',
    });
  });

  test('weights are appended to the right image of a list', async () => {
    const registry = server.client();
    const image = await putSourceImage(registry);
    const { raw } = (await registry.getManifest(repository, image.digest))!;
    const ours = process.arch === 'x64' ? 'amd64' : process.arch;
    const list = {
      schemaVersion: 2,
      mediaType: index,
      manifests: [
        {
          mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
          digest: image.digest,
          size: raw.length,
          platform: { os: 'linux', architecture: ours },
        },
      ],
    };
    const listed = await registry.putManifest(repository, Buffer.from(JSON.stringify(list)), index);
    const weights = { 'a.txt': noise(10) };
    const fromList = await append(registry, { repository, digest: listed }, weights);
    assert.deepEqual(fromList.image, (await append(registry, image, weights)).image);
  });

  test('layers in a form that no other registry may hold are refused, with their digest', () => {
    const descriptor = (mediaType: string) => ({ mediaType, digest: digest as Digest, size: 1 });
    const manifest = {
      schemaVersion: 2 as const,
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config: descriptor('application/vnd.docker.container.image.v1+json'),
      layers: [descriptor('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip')],
    };
    assert.throws(() => toOci(manifest), { type: 'InvalidInput', message: new RegExp(digest) });
  });

  test('what is no manifest is refused, with what is wrong', () => {
    for (const text of [
      'no json',
      '[]',
      '{"schemaVersion":1}',
      '{"schemaVersion":2,"config":{},"layers":[]}',
    ])
      assert.throws(() => parseManifest('reading "x"', Buffer.from(text), undefined), {
        type: 'InvalidInput',
        message: /^reading "x": /,
      });
  });
});
