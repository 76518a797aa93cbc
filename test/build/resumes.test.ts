import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { SlipwayError } from '../../contract/errors.js';
import { findSourceImage, sourceTag } from '../../platform/images/source-image.js';
import { examplesFolder } from '../support/models.js';
import { BuildWorld } from './world.js';

test('what a worker pushed before it died is made whole, not built again', async (t) => {
  const world = await BuildWorld.open(t);
  const files = {
    'k8s_api_model.py': await readFile(join(examplesFolder(), 'greeter/source/k8s_api_model.py')),
  };
  const build = await world.prepare({ files });
  const image = await build.run();
  const { registry } = world;
  const whole = (await registry.getManifest(build.repository, image.digest))!;
  // As an engine leaves it: in Docker's own media types, under the same tag.
  const docker = 'application/vnd.docker.distribution.manifest.v2+json';
  const raw = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: docker,
      config: { ...whole.manifest.config, mediaType: 'application/vnd.docker.container.image.v1+json' },
      layers: whole.manifest.layers.map((layer) => ({
        ...layer,
        mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
      })),
    }),
  );
  const left = await registry.putManifest(build.repository, raw, docker, sourceTag(build.key));
  assert.equal(await findSourceImage(registry, build.repository, build.key), null);

  world.lines.length = 0;
  assert.deepEqual(await build.run(), image);
  assert.deepEqual(world.lines, [], 'nothing was built');
  assert.equal(await registry.getManifest(build.repository, left), null, 'what it replaced is gone');
});

test('two workers that build one source at once both end with a whole image, in a second attempt at the latest', async (t) => {
  const world = await BuildWorld.open(t);
  const files = {
    'k8s_api_model.py': await readFile(join(examplesFolder(), 'greeter/source/k8s_api_model.py')),
    'notes.txt': String(Math.random()),
  };
  const model = `twice-${process.pid}`;
  const builds = await Promise.all([
    world.prepare({ files, model }),
    world.prepare({ files, model, service: 'another' }),
  ]);
  const images = await Promise.all(
    builds.map((build) =>
      build.run().catch((error: unknown) => {
        // They share the name that is pushed; what that makes fail has to be a passing fault.
        assert.ok(!(error instanceof SlipwayError), String(error));
        return build.run();
      }),
    ),
  );
  for (const image of images)
    assert.ok(await world.registry.getManifest(image.repository, image.digest), image.digest);
  assert.ok(await findSourceImage(world.registry, builds[0].repository, builds[0].key));
  assert.deepEqual(await world.left(model), []);
});
