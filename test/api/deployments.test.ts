import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { ApiFailure, type ApiClient } from '../../api/client.js';
import { deployWorkflow, type DeploymentStatus } from '../../contract/deployment.js';
import { serviceWorkflowId } from '../../contract/service.js';
import { Shipyard } from '../support/deployments.js';
import { greeterWeights } from '../support/models.js';
import { TestApi } from './server.js';

describe('deployments over the API', () => {
  let yard: Shipyard;
  let api: TestApi;
  let client: ApiClient;
  let model: string;
  before(async () => {
    yard = await Shipyard.open();
    api = await TestApi.start(yard.stack);
    client = api.client;
    model = await yard.greeter('api', { greeting: 'Hello' });
  });
  after(async () => {
    await api.close();
    await yard.close();
  });

  const id = () => `test/${randomBytes(5).toString('hex')}`;
  const status = (workflowId: string) => client.call('getDeployment', { params: { id: workflowId } });
  const until = async (
    workflowId: string,
    wanted: (status: DeploymentStatus) => boolean,
  ): Promise<DeploymentStatus> => {
    for (const end = Date.now() + 180_000; ; await delay(250)) {
      const now = await status(workflowId);
      if (wanted(now)) return now;
      assert.ok(Date.now() < end, JSON.stringify(now));
    }
  };
  const ended = (workflowId: string) => until(workflowId, ({ endedAt }) => endedAt !== undefined);
  const refused = (type: string, message: RegExp) => (error: unknown) => {
    assert.ok(error instanceof ApiFailure, String(error));
    assert.deepEqual([error.type, message.test(error.message)], [type, true], error.message);
    return true;
  };
  const liveOnes = async (): Promise<string[]> =>
    (await client.call('listDeployments', { query: { service: model } }))
      .filter(({ live }) => live)
      .map(({ deployment }) => deployment.workflowId);

  const first = id();
  const second = id();

  test('a deployment is started once, however often it is asked for under one id', async () => {
    const ask = { body: { model }, query: { id: first } };
    const [one, two] = await Promise.all([client.call('deploy', ask), client.call('deploy', ask)]);
    assert.deepEqual(one, two);
    await assert.rejects(
      client.call('deploy', { body: { model, service: 'another' }, query: { id: first } }),
      refused('Conflict', /is a running deployment of model/),
    );
    const done = await ended(first);
    assert.equal(done.state, 'succeeded', JSON.stringify(done.failure));
    await assert.rejects(client.call('deploy', ask), refused('Conflict', /has run already/));
    assert.deepEqual(await liveOnes(), [first]);
  });

  test('a prediction is answered as users get it', async () => {
    const params = { service: model };
    assert.deepEqual(await client.call('predict', { params, body: { input: 'Ada' } }), {
      output: 'Hello, Ada!',
    });
    await assert.rejects(
      client.call('predict', { params: { service: 'no-such' }, body: { input: 1 } }),
      refused('NotFound', /no-such/),
    );
  });

  test('one that waits for approval is shown to, and goes on when it is approved', async () => {
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Hi' }), '20260102');
    await client.call('deploy', { body: { model, approval: { required: true } }, query: { id: second } });
    await until(second, ({ state }) => state === 'awaiting-approval');
    const listed = await client.call('listDeployments', { query: { service: model, limit: 1 } });
    assert.equal(listed[0]?.state, 'awaiting-approval');
    assert.deepEqual(await liveOnes(), [first]);
    await client.call('approve', { params: { id: second }, body: { by: 'ada', reason: 'looks good' } });
    assert.equal((await ended(second)).state, 'succeeded');
    assert.deepEqual(await liveOnes(), [second]);
  });

  test('a rollback makes another release live: outcome and live release are two facts', async () => {
    const { workflowId } = await client.call('rollback', { params: { service: model }, body: {} });
    assert.equal((await ended(workflowId)).state, 'succeeded');
    assert.deepEqual(await liveOnes(), [workflowId]);
    assert.equal((await status(second)).state, 'succeeded');
    const { record } = await client.call('getService', { params: { service: model } });
    await assert.rejects(
      client.call('rollback', { params: { service: model }, body: { to: record.live! } }),
      refused('Conflict', /serves .* already/),
    );
    await assert.rejects(
      client.call('rollback', { params: { service: model }, body: { to: `${model}.r999` } }),
      refused('NotFound', /it has no release/),
    );
  });

  test('cancelling what has ended, or twice, changes nothing and succeeds', async () => {
    const before = await client.call('getService', { params: { service: model } });
    for (const _time of [1, 2])
      assert.deepEqual(await client.call('cancel', { params: { id: second }, body: {} }), {
        requested: false,
      });
    assert.deepEqual(await client.call('getService', { params: { service: model } }), before);
    for (const verb of ['approve', 'reject', 'pause', 'resume', 'skip'] as const)
      await assert.rejects(
        client.call(verb, { params: { id: second }, body: {} }),
        refused('Conflict', /has ended/),
      );
  });

  test('a running one that is cancelled twice is undone once', async () => {
    const running = id();
    await client.call('deploy', { body: { model, approval: { required: true } }, query: { id: running } });
    await until(running, ({ state }) => state === 'awaiting-approval');
    const cancel = () => client.call('cancel', { params: { id: running }, body: {} });
    assert.deepEqual(await cancel(), { requested: true });
    await cancel();
    const done = await ended(running);
    assert.equal(done.state, 'cancelled');
    assert.equal(done.failure?.type, 'Cancelled');
    assert.ok(!(await liveOnes()).includes(running));
  });

  test('a canary step that waits is shown, skipped once, and the next one aborted once', async () => {
    const running = id();
    const strategy = {
      kind: 'canary' as const,
      steps: [1, 2].map((weight) => ({ weight, pause: true as const })),
    };
    await client.call('deploy', { body: { model, strategy }, query: { id: running } });
    const params = { id: running };
    const waits = (step: number) => until(running, (it) => it.state === 'paused' && it.canary?.step === step);
    assert.deepEqual((await waits(1)).canary, { step: 1, steps: 2, weight: 1, paused: true });
    await client.call('skip', { params, body: { by: 'ada' } });
    const { progress } = await until(running, (it) => it.canary?.step === 2 && it.progress !== undefined);
    assert.match(progress!.message, /^canary [12] %: .*until resumed$/);
    await waits(2);
    const abort = () => client.call('abort', { params, body: { by: 'ada', reason: 'not today' } });
    assert.deepEqual(await abort(), { requested: true, state: 'paused' });
    const done = await ended(running);
    assert.deepEqual([done.state, done.failure?.type], ['failed', 'Aborted']);
    assert.equal(done.failure?.message, 'aborted by ada: not today');
    assert.deepEqual(await abort(), { requested: false, state: 'failed' });
    await assert.rejects(client.call('skip', { params, body: {} }), refused('Conflict', /has ended/));
    assert.ok(!(await liveOnes()).includes(running));
  });

  test('a step is not skipped where there is none', async () => {
    const running = id();
    await client.call('deploy', { body: { model, approval: { required: true } }, query: { id: running } });
    await until(running, ({ state }) => state === 'awaiting-approval');
    const params = { id: running };
    await assert.rejects(
      client.call('skip', { params, body: {} }),
      refused('Conflict', /no canary step is under way/),
    );
    await client.call('cancel', { params, body: {} });
    await ended(running);
  });

  test('workflows that are no deployments are out of reach', async () => {
    const owner = serviceWorkflowId(model);
    const handle = yard.temporal.workflow.getHandle(owner);
    for (const call of ['cancel', 'pause', 'abort'] as const)
      await assert.rejects(
        client.call(call, { params: { id: owner }, body: {} }),
        refused('NotFound', /is not a deployment/),
      );
    await assert.rejects(status(owner), refused('NotFound', /is not a deployment/));
    await assert.rejects(
      client.call('deploy', { body: { model }, query: { id: owner } }),
      refused('Conflict', /is not a deployment/),
    );
    assert.equal((await handle.describe()).status.name, 'RUNNING');
    await assert.rejects(status('no/such'), refused('NotFound', /no such deployment: "no\/such"/));
  });

  test('input that the workflow refuses is told as the failure it is', async () => {
    const workflowId = id();
    // Started by someone else, past the API's own checks.
    await yard.deploy({ model, replicas: 0 }, workflowId);
    const { state, failure } = await ended(workflowId);
    assert.equal(state, 'failed');
    assert.equal(failure?.type, 'InvalidInput');
    assert.match(failure.message, /replicas/);
  });

  test('while no worker answers, what Temporal knows is told, within seconds', async () => {
    const workflowId = id();
    const handle = await yard.temporal.workflow.start(deployWorkflow, {
      taskQueue: `nobody-${workflowId}`,
      workflowId,
      args: [{ model }],
    });
    const began = Date.now();
    const running = await status(workflowId);
    assert.ok(Date.now() - began < 20_000, `after ${Date.now() - began} ms`);
    assert.equal(running.state, 'running');
    assert.match(running.step, /no worker answers/);
    await handle.terminate('by this test');
    const { state, failure, endedAt } = await status(workflowId);
    assert.equal(state, 'terminated');
    assert.match(failure?.message ?? '', /terminated from outside/);
    assert.ok(endedAt);
  });

  test('the log is the build as it went, and what a replica that failed said last', async () => {
    await yard.put(model, 'weights', await greeterWeights({ crash: true }), '20260103');
    const workflowId = id();
    await client.call('deploy', { body: { model }, query: { id: workflowId } });
    let log = '';
    for await (const chunk of client.logs(workflowId, { follow: true })) log += chunk;
    const { state, failure, undo } = await status(workflowId);
    assert.deepEqual([state, failure?.type], ['failed', 'RolloutFailed']);
    assert.ok(undo.length > 0 && undo.every((step) => step.state === 'undone'), JSON.stringify(undo));
    assert.match(log, /--- slipway-.*\n[^]*Traceback/);
    assert.ok(!(await liveOnes()).includes(workflowId));
  });

  test('a plan says what would be done, and does nothing', async () => {
    const before = await client.call('getService', { params: { service: model } });
    const steps = [
      { weight: 10, for: '5m' },
      { weight: 50, pause: true as const },
    ];
    const strategy = { kind: 'canary' as const, steps };
    const plan = await client.call('plan', { body: { model, weights: '20260102', replicas: 2, strategy } });
    assert.equal(plan.build.needed, false);
    assert.deepEqual([plan.push.missing, plan.push.bytes], [0, 0]);
    const { rollout } = plan;
    assert.deepEqual(rollout, {
      replaces: before.record.live,
      target: 'docker',
      strategy: 'canary: 10 % for 5m, 50 % until resumed',
      replicas: 2,
      atMost: 3,
      nodes: ['local'],
    });
    const large = { cpu: 1, memory: '64Ti' };
    const { warnings } = await client.call('plan', {
      body: { model, weights: '20260102', resources: large },
    });
    assert.ok(warnings.some((warning) => warning.startsWith('no room on node "local": 1 new containers')));
    const prometheus = {
      url: 'http://169.254.169.254',
      checks: [{ name: 'memory', query: 'up', max: 1 }],
    };
    await assert.rejects(
      client.call('plan', { body: { model, strategy: { ...strategy, analysis: { prometheus } } } }),
      /strategy\.analysis\.prometheus\.url: .* is a link-local address: "analysis\.allow"/,
    );
    assert.deepEqual(await client.call('getService', { params: { service: model } }), before);
  });
});
