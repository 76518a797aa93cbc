import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Shipyard } from '../support/deployments.js';
import { greeterWeights } from '../support/models.js';

describe('shipping a model', () => {
  let yard: Shipyard;
  let model: string;
  before(async () => {
    yard = await Shipyard.open();
    model = await yard.greeter('greeter', { greeting: 'Hello' });
  });
  after(() => yard.close());

  test('goes from zips in the bucket to predictions, with nothing but the model named', async () => {
    const { release, verification } = await yard.ship({ model });
    assert.equal(release, `${model}.r1`);
    assert.ok(verification);
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Hello, Ada!');
    await yard.assertNothingLeft();
  });

  test('with new weights builds nothing and sends only their layer', async () => {
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Good morning' }), '20260102');
    const handle = await yard.deploy({ model });
    await handle.result();
    const { stages, weightsName } = await yard.status(handle);
    assert.equal(weightsName, '20260102');
    assert.match(stages.find(({ name }) => name === 'build')?.detail ?? '', /nothing built/);
    assert.match(stages.find(({ name }) => name === 'push')?.detail ?? '', /1 of them sent/);
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Good morning, Ada!');
    await yard.assertNothingLeft();
  });

  test('with weights that answer wrongly leaves the release before serving, and says expected and got', async () => {
    await yard.put(
      model,
      'weights',
      await greeterWeights({ greeting: 'Good morning', wrong: true }),
      '20260103',
    );
    const verify = { samples: [{ input: 'Ada', expect: 'Good morning, Ada!' }] };
    const handle = await yard.deploy({ model, verify });
    const failure = await yard.failure(handle);
    assert.equal(failure.type, 'VerificationFailed');
    assert.match(failure.message, /expected "Good morning, Ada!", got /);
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Good morning, Ada!');
    await yard.assertNothingLeft();
  });

  test('with weights that crash on load keeps the crash with the deployment', async () => {
    await yard.put(model, 'weights', await greeterWeights({ crash: true }), '20260104');
    const failure = await yard.failure(await yard.deploy({ model }));
    assert.equal(failure.type, 'RolloutFailed');
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Good morning, Ada!');
    await yard.assertNothingLeft();
  });

  test('is rolled back to the release before, without a build', async () => {
    const handle = await yard.deploy({ model, rollbackTo: 'previous' });
    await handle.result();
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Hello, Ada!');
    const { stages } = await yard.status(handle);
    assert.equal(stages.find(({ name }) => name === 'build')?.state, 'skipped');
    await yard.assertNothingLeft();
  });

  test('that fails the first time leaves nothing', async () => {
    const crashing = await yard.greeter('crash', { crash: true });
    const failure = await yard.failure(await yard.deploy({ model: crashing }));
    assert.equal(failure.type, 'RolloutFailed');
    await assert.rejects(yard.predict(crashing, 'Ada'), /404/);
    await yard.assertNothingLeft();
  });
});
