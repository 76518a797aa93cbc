import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import { ApiClient } from '../../api/client.js';
import type { DeployResult } from '../../contract/deployment.js';
import { Harbour } from '../support/harbour.js';

describe('shipping a model to Kubernetes', () => {
  let harbour: Harbour;
  let model: string;
  before(async () => {
    harbour = await Harbour.open();
    model = await harbour.model();
  });
  after(() => harbour.close());

  /** The log of a deployment as users read it: with what its failed pods said last, although they are gone. */
  async function logOf({ workflowId }: WorkflowHandle): Promise<string> {
    const client = new ApiClient(harbour.yard.stack.api, harbour.yard.stack.token);
    let log = '';
    for await (const chunk of client.logs(workflowId)) log += chunk;
    await client.close();
    return log;
  }

  /** What is said of a deployment's stage `rollout`. */
  async function rolloutOf(handle: WorkflowHandle) {
    const { stages } = await harbour.yard.status(handle);
    return stages.find(({ name }) => name === 'rollout')?.detail;
  }

  test('for the first time: it answers through the gateway and in the cluster, and kubectl tells the story', async () => {
    const { yard } = harbour;
    const first = await yard.deploy(harbour.request(model));
    const { release, image } = (await first.result()) as DeployResult;
    assert.equal(await rolloutOf(first), '2 of 2 ready');
    assert.equal(release, `${model}.r1`);
    assert.equal(await yard.predict(model, 'Ada'), 'Hello, Ada!');
    await harbour.assertOnly(model, release, 2);
    const inside = await harbour.kubectl(
      ...['get', '--raw', `/api/v1/namespaces/${harbour.namespace}/services/${model}:80/proxy/readyz`],
    );
    assert.match(inside, /done/);
    const story = await harbour.kubectl('get', 'deployment', `${model}--r1`, '-o', 'yaml');
    for (const fact of [image.digest, release, 'slipway.dev/deployment', 'runAsNonRoot: true'])
      assert.ok(story.includes(fact), fact);
    for (const [line] of story.matchAll(/\bimage: .*/g)) assert.match(line, /@sha256:[0-9a-f]{64}$/);
    await yard.assertNothingLeft();
  });

  test('again, with new weights: the new release takes over and the old one goes', async () => {
    await harbour.retrain(model, { greeting: 'Welcome' });
    const verify = { samples: [{ input: 'Ada', expect: 'Welcome, Ada!' }] };
    const second = await harbour.yard.deploy(harbour.request(model, { verify }));
    const { release } = (await second.result()) as DeployResult;
    assert.equal(await rolloutOf(second), '1 of 2 ready, the others come as it takes over');
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Welcome, Ada!');
    await harbour.assertOnly(model, release, 2);
    await harbour.yard.assertNothingLeft();
  });

  test('with weights that answer wrongly: the release before serves, expected and got are told', async () => {
    await harbour.retrain(model, { wrong: true });
    const before = await harbour.objects(model);
    const verify = { samples: [{ input: 'Ada', expect: 'Welcome, Ada!' }] };
    const handle = await harbour.yard.deploy(harbour.request(model, { verify }));
    const failure = await harbour.yard.failure(handle);
    assert.equal(failure.type, 'VerificationFailed');
    assert.match(failure.message, /expected/);
    const log = await logOf(handle);
    assert.match(log, new RegExp(`--- ${model}--r3 ---\\nDeployment ${model}--r3 .*1 ready`));
    assert.match(log, /\nlog of model:\n.*loading/s);
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Welcome, Ada!');
    assert.deepEqual(await harbour.objects(model), before);
    await harbour.yard.assertNothingLeft();
  });

  test('with weights that crash on load: RolloutFailed with the last log lines', async () => {
    await harbour.retrain(model, { crash: true });
    const handle = await harbour.yard.deploy(harbour.request(model));
    const failure = await harbour.yard.failure(handle);
    assert.equal(failure.type, 'RolloutFailed');
    assert.match(failure.message, /exit code 3/);
    const log = await logOf(handle);
    assert.match(log, new RegExp(`--- ${model}--r4 ---.*these weights crash on load`, 's'));
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Welcome, Ada!');
    await harbour.yard.assertNothingLeft();
  });

  test('is rolled back to the release before, without a build', async () => {
    const handle = await harbour.yard.deploy(harbour.request(model, { rollbackTo: 'previous' }));
    await handle.result();
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Hello, Ada!');
    const { stages } = await harbour.yard.status(handle);
    assert.equal(stages.find(({ name }) => name === 'build')?.state, 'skipped');
    await harbour.yard.assertNothingLeft();
  });

  test('that fails the first time leaves nothing', async () => {
    const failing = await harbour.model({ wrong: true });
    const handle = await harbour.yard.deploy(harbour.request(failing));
    assert.equal((await harbour.yard.failure(handle)).type, 'VerificationFailed');
    assert.deepEqual(await harbour.objects(failing), []);
    await harbour.yard.assertNothingLeft();
  });

  test('moves from Docker to Kubernetes and back', async () => {
    const moving = await harbour.model();
    const { yard } = harbour;
    await yard.ship({ model: moving });
    await harbour.losesNone(moving, () => yard.ship(harbour.request(moving)));
    await harbour.assertOnly(moving, `${moving}.r2`, 2);
    await harbour.losesNone(moving, () => yard.ship({ model: moving, target: 'docker' }));
    assert.deepEqual(await harbour.objects(moving), []);
    await yard.assertNothingLeft();
  });
});
