import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createInstallation } from '../../infra/installation.js';
import { s3Storage } from '../../platform/storage/s3.js';
import { census } from '../../platform/census.js';
import { createRegistry } from '../../platform/images/registry.js';
import { clearInstallation } from '../../platform/targets/docker.js';
import { Shipyard } from '../support/deployments.js';
import { greeterSource, greeterWeights } from '../support/models.js';

/** Everything is the same but the name of the installation. */
const model = 'greeter';

describe('two installations on the same Temporal, registry, storage, database server and engine', () => {
  let one: Shipyard;
  let other: Shipyard;
  before(async () => {
    one = await Shipyard.open();
    other = await Shipyard.open();
  });
  after(async () => {
    await other?.close();
    await one?.close();
  });

  const put = async (yard: Shipyard, greeting: string, date: string): Promise<void> => {
    await yard.put(model, 'source', await greeterSource());
    await yard.put(model, 'weights', await greeterWeights({ greeting }), date);
  };
  const answers = async (): Promise<unknown[]> =>
    await Promise.all([one, other].map((yard) => yard.predict(model, 'Ada').catch(() => null)));

  test('made again, one keeps its token, its ports and whatever was changed in its file', async () => {
    const { stack, stackFile } = one.installation!;
    const place = { folder: dirname(stackFile), ports: { api: 1, gateway: 2 } };
    const again = await createInstallation(other.stack, stack.name, place);
    assert.deepEqual(JSON.parse(JSON.stringify(again)), JSON.parse(JSON.stringify(stack)));
  });

  test('ship a model of one name side by side, under one workflow id, and neither is in the way', async () => {
    await put(one, 'One', '20260101');
    await put(other, 'Other', '20260101');
    const [first, second] = await Promise.all([
      one.deploy({ model }, 'deploy it'),
      other.deploy({ model }, 'deploy it'),
    ]);
    assert.deepEqual(
      [await first.result(), await second.result()].map((result) => (result as { release: string }).release),
      [`${model}.r1`, `${model}.r1`],
    );
    assert.deepEqual(await answers(), ['One, Ada!', 'Other, Ada!']);
  });

  test('see of bucket, registry, catalog and engine only what is their own', async () => {
    for (const [yard, stranger] of [
      [one, other],
      [other, one],
    ] as const) {
      const { items, unaccounted } = await census(yard.stack);
      assert.deepEqual(unaccounted, []);
      assert.deepEqual(
        items.filter(({ kind }) => kind === 'release').map(({ name }) => name),
        [`${model}.r1`],
      );
      const text = JSON.stringify(items);
      assert.ok(text.includes(yard.stack.name) && !text.includes(stranger.stack.name), text);
      const repositories = await createRegistry(yard.stack.registry).listRepositories();
      assert.ok(repositories.includes(`${yard.stack.registry.prefix}/${model}`), repositories.join());
      const stored = await s3Storage(yard.stack.s3).listUnder(`${model}/model/`);
      assert.equal(stored.length, 1);
    }
  });

  test('what one ships, takes back and removes changes nothing for the other', async () => {
    await put(one, 'Newer', '20260102');
    await one.ship({ model });
    assert.deepEqual(await answers(), ['Newer, Ada!', 'Other, Ada!']);
    await one.ship({ model, rollbackTo: 'previous' });
    assert.deepEqual(await answers(), ['One, Ada!', 'Other, Ada!']);
    await put(one, 'Wrong', '20260103');
    const verify = { samples: [{ input: 'Ada', expect: 'Right' }] };
    assert.equal((await one.failure(await one.deploy({ model, verify }))).type, 'VerificationFailed');
    await one.assertNothingLeft();
    await other.assertNothingLeft();
    await clearInstallation(one.stack.name, one.stack.nodes);
    assert.deepEqual(await answers(), [null, 'Other, Ada!']);
    await other.assertNothingLeft();
    await other.ship({ model });
    assert.deepEqual(await answers(), [null, 'Other, Ada!']);
  });
});
