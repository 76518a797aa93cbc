import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Progress } from '../../contract/pipeline.js';
import { ociManifest } from '../../platform/images/manifest.js';
import { findSourceImage } from '../../platform/images/source-image.js';
import { examplesFolder } from '../support/models.js';
import { irisImage } from './iris.js';
import { BuildWorld } from './world.js';

const example = (path: string): Promise<Buffer> => readFile(join(examplesFolder(), path));

test('a python-class source becomes an image that answers predictions, and is built once', async (t) => {
  const world = await BuildWorld.open(t);
  const files = {
    'k8s_api_model.py': await example('greeter/source/k8s_api_model.py'),
    'slipway.yaml': await example('greeter/source/slipway.yaml'),
  };
  const seen: Progress[] = [];
  const build = await world.prepare({ files, onProgress: (progress) => void seen.push(progress) });
  assert.equal(await findSourceImage(world.registry, build.repository, build.key), null);
  const image = await build.run();

  assert.deepEqual(await findSourceImage(world.registry, build.repository, build.key), image);
  assert.deepEqual(await world.left(build.repository), [], 'nothing of it stays on the engine');
  assert.ok(seen.some(({ message, total }) => total !== undefined && message.startsWith('step ')));
  const found = await world.registry.getManifest(build.repository, image.digest);
  assert.equal(found?.manifest.mediaType, ociManifest);
  assert.ok(found.manifest.layers.every(({ mediaType }) => mediaType.startsWith('application/vnd.oci.')));
  assert.deepEqual((await world.registry.listTags(build.repository)).length, 1);

  const again = await world.prepare({ files, model: build.repository.slice('built/'.length) });
  assert.deepEqual(again.key, build.key);
  assert.deepEqual(await again.run(), image, 'what is there already is not built');

  const { ask, container } = await world.serve(t, image, {
    'greeting.json': await example('greeter/weights/greeting.json'),
  });
  assert.deepEqual(await ask('/predict', { input: 'Ada' }), { output: 'Hello, Ada!' });
  assert.deepEqual(await ask('/result', { test: 'Ada' }), { result: 'Hello, Ada!' });
  const { Config } = await container.inspect();
  assert.match(Config.User, /^[1-9]\d*:/, 'it does not run as root');
});

test('a scikit-learn model is served with the requirements that its source pins', async (t) => {
  const world = await BuildWorld.open(t);
  const image = await irisImage(world);
  const weights = { 'model.joblib': await example('iris/weights/model.joblib') };
  const { ask } = await world.serve(t, image, weights, ['SLIPWAY_ALLOW_PICKLE=1']);
  assert.deepEqual(await ask('/predict', { input: [[5.1, 3.5, 1.4, 0.2]] }), { output: [0] });
  assert.deepEqual(
    await ask('/predict', {
      input: [
        [6, 2.9, 4.5, 1.5],
        [6.9, 3.1, 5.4, 2.1],
      ],
    }),
    { output: [1, 2] },
  );
});
