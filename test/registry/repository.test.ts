import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ImageRef } from '../../contract/names.js';
import { registryCensus } from '../../platform/images/census.js';
import { putTag } from '../../platform/images/publish.js';
import { repositoryOf } from '../../platform/images/repository.js';
import { TestRegistry } from '../support/registry.js';
import { append, noise, putSourceImage, sha256 } from './sample.js';

describe('repositories', () => {
  let server: TestRegistry;
  before(async () => {
    server = await TestRegistry.start();
  });
  after(() => server.stop());

  test('a model has the repository of its name', () => {
    assert.equal(repositoryOf({ prefix: 'slipway' }, 'iris'), 'slipway/iris');
    assert.equal(repositoryOf({ prefix: 'team' }, 'a-b_c1'), 'team/a-b_c1');
  });

  test('every model name makes a repository that registries allow, and no two the same', async () => {
    const names = [
      'a-b',
      'a_b',
      'a--b',
      'a__b',
      'a-_b',
      'a_-b',
      'a___b',
      'a---b',
      'a--b-c',
      'a-b--c',
      'a--b--c',
    ];
    const repositories = names.map((name) => repositoryOf({ prefix: 'slipway' }, name));
    assert.equal(new Set(repositories).size, names.length, repositories.join());
    for (const repository of repositories) {
      assert.ok(ImageRef.safeParse({ repository, digest: sha256(Buffer.alloc(0)) }).success, repository);
      assert.ok(await putSourceImage(server.client(), { into: repository }));
    }
  });

  test('a census names every repository that is asked for, and each tag with its digest', async () => {
    const registry = server.client();
    const source = await putSourceImage(registry, { into: 'slipway/counted' });
    const { image } = await append(
      registry,
      source,
      { 'a.txt': noise(9) },
      { repository: 'slipway/counted' },
    );
    await putTag(registry, image, 'second');
    await putTag(registry, source, 'first');
    const counted = (await registryCensus(registry, (name) => name.startsWith('slipway/'))).find(
      (it) => it.repository === 'slipway/counted',
    );
    assert.deepEqual(counted?.tags, [
      { tag: 'first', digest: source.digest },
      { tag: 'second', digest: image.digest },
    ]);
  });
});
