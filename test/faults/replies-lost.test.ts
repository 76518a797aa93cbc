import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Shipyard } from '../support/deployments.js';
import { LocalWorker } from '../support/local-worker.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { afterCommit, stageActivities } from '../support/stages.js';

describe('every activity acts and its first reply is lost', () => {
  let yard: Shipyard;
  let worker: LocalWorker;
  let model: string;
  before(async () => {
    yard = await Shipyard.open({ worker: false });
    worker = await LocalWorker.start({ loseFirstReply: 'all' });
    model = yard.name('lost');
    await yard.put(model, 'source', await greeterSource({ 'note.txt': model }));
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Hello' }));
  });
  after(async () => {
    await worker.end();
    await yard.close();
  });

  test('a first deployment comes out as if nothing had happened', async () => {
    const { release } = await yard.ship({ model });
    assert.equal(release, `${model}.r1`);
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Hello, Ada!');
    const lost = await worker.lost();
    for (const activity of [...stageActivities, ...afterCommit, 'requestGrant', 'openGrant'])
      assert.ok(lost.includes(activity), `${activity} has lost a reply`);
    await yard.assertNothingLeft();
  });

  test('a changed source is checked with the live weights, and shipped', async () => {
    await yard.put(model, 'source', await greeterSource({ 'note.txt': `${model} again` }));
    await yard.ship({ model });
    assert.ok((await worker.lost()).includes('checkSource'));
    await yard.assertNothingLeft();
  });

  test('a deployment that fails is undone once, and the release before serves', async () => {
    await yard.put(model, 'weights', await greeterWeights({ wrong: true }), '20260102');
    const verify = { samples: [{ input: 'Ada', expect: 'Hello, Ada!' }] };
    assert.equal((await yard.failure(await yard.deploy({ model, verify }))).type, 'VerificationFailed');
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Hello, Ada!');
    const lost = await worker.lost();
    for (const activity of ['beginUndo', 'openEffects', 'undoEffect', 'closeGrant'])
      assert.ok(lost.includes(activity), `${activity} has lost a reply`);
    await yard.assertNothingLeft();
  });

  test('a rollback comes out as if nothing had happened', async () => {
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Bye' }), '20260103');
    await yard.ship({ model });
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Bye, Ada!');
    await yard.ship({ model, rollbackTo: 'previous' });
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Hello, Ada!');
    await yard.assertNothingLeft();
  });
});
