import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ApiClient } from '../../api/client.js';
import { Shipyard } from '../support/deployments.js';
import { greeterWeights } from '../support/models.js';

describe('a deployment that failed', () => {
  let yard: Shipyard;
  let client: ApiClient;
  let model: string;
  let good: string;
  let bad: string;
  before(async () => {
    yard = await Shipyard.open();
    client = new ApiClient(yard.stack.api, yard.stack.token);
    model = await yard.greeter('outcome');
    const first = await yard.deploy({ model });
    good = first.workflowId;
    await first.result();
    await yard.put(model, 'weights', await greeterWeights({ crash: true }), '20260102');
    const second = await yard.deploy({ model });
    bad = second.workflowId;
    await yard.failure(second);
  });
  after(async () => {
    await client.close();
    await yard.close();
  });

  test('is shown as failed, and beside it what serves: the release before', async () => {
    const status = await client.call('getDeployment', { params: { id: bad } });
    assert.equal(status.state, 'failed');
    assert.equal(status.failure?.type, 'RolloutFailed');
    const { record } = await client.call('getService', { params: { service: model } });
    assert.equal(record.live, `${model}.r1`);
    const listed = await client.call('listDeployments', { query: { service: model } });
    const lives = Object.fromEntries(listed.map(({ deployment, live }) => [deployment.workflowId, live]));
    assert.deepEqual(lives, { [good]: true, [bad]: false });
  });

  test('keeps what its container said last', async () => {
    let log = '';
    for await (const chunk of client.logs(bad)) log += chunk;
    assert.match(log, /these weights crash on load/);
  });

  test('tells what was undone, newest first', async () => {
    const { undo } = await client.call('getDeployment', { params: { id: bad } });
    assert.ok(undo.every(({ state }) => state === 'undone'));
    assert.match(undo[0]?.what ?? '', /^container /);
    assert.match(undo.at(-1)?.what ?? '', /^manifest /);
  });

  test('stays as it ended when it is cancelled afterwards', async () => {
    assert.deepEqual(await client.call('cancel', { params: { id: bad }, body: {} }), { requested: false });
    assert.equal((await client.call('getDeployment', { params: { id: bad } })).state, 'failed');
  });
});
