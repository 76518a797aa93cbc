import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { stages } from '../../contract/pipeline.js';
import { localTemporal } from '../support/temporal.js';
import { Laboratory, until } from '../support/workflows.js';

const laboratory = await Laboratory.open(localTemporal());
after(() => laboratory.close());

describe('a deployment', { concurrency: 8, timeout: 300_000 }, () => {
  test('goes through the stages in order, then moves the route, then drains the old', async () => {
    const service = await laboratory.liveService();
    const deployment = await laboratory.deploy(service);
    const result = await deployment.result();
    assert.deepEqual(laboratory.activitiesOf(deployment.workflowId), [
      'requestGrant',
      'pin',
      'admit',
      'downloadSource',
      'downloadModel',
      'buildSource',
      'pushImage',
      'rollout',
      'verify',
      'publishTag',
      'roll',
      'promote',
      'shift',
      'awaitGateways',
      'closeGrant',
      'tidy',
    ]);
    const status = await laboratory.status(deployment);
    assert.equal(status.state, 'succeeded');
    assert.deepEqual(
      status.stages.map(({ name, state }) => [name, state]),
      stages.map((name) => [name, 'done']),
    );
    assert.equal(result.release, `${service}.r2`);
    const { containers, route, live, previous, openEffects } = await laboratory.world.census(service);
    assert.deepEqual(containers, [
      { name: `slipway-${service}.r2-0`, service, token: 2, release: `${service}.r2` },
    ]);
    assert.equal((route as { release: string }).release, `${service}.r2`);
    assert.deepEqual([live, previous, openEffects], [`${service}.r2`, `${service}.r1`, []]);
  });

  test('ends the source download before the model download starts', async () => {
    const [deployment, gate] = await laboratory.deployWith(laboratory.service(), (faults) =>
      faults.hold('downloadSource'),
    );
    await gate.reached;
    await delay(200);
    gate.open();
    await deployment.result();
    const call = (activity: string) =>
      laboratory.calls.find(
        (call) => call.workflowId === deployment.workflowId && call.activity === activity,
      )!;
    assert.ok(call('downloadSource').ended! < call('downloadModel').began);
  });

  test('needs nothing but the name of the model, under any workflow id', async () => {
    const deployment = await laboratory.start({ model: 'iris' }, 'started by hand, from the UI');
    const { service, release, verification } = await deployment.result();
    assert.deepEqual([service, release], ['iris', 'iris.r1']);
    assert.equal(verification.samples.length, 1);
  });

  test('gives the service another name than the model when asked', async () => {
    const service = laboratory.service();
    const deployment = await laboratory.start({ model: laboratory.service(), service });
    assert.equal((await deployment.result()).release, `${service}.r1`);
  });

  for (const changed of ['source', 'weights'] as const)
    test(`checks ${changed === 'source' ? 'a changed source' : 'no source that stayed the same'} against the live weights`, async () => {
      const service = laboratory.service();
      await finished(service);
      laboratory.world.upload(service, changed);
      const ran = laboratory.activitiesOf((await finished(service)).workflowId);
      assert.equal(ran.includes('checkSource'), changed === 'source');
      if (changed === 'source') assert.ok(ran.indexOf('checkSource') < ran.indexOf('pushImage'));
    });

  test('checks no source on a first deployment, nor when told not to', async () => {
    const service = laboratory.service();
    const first = await finished(service);
    laboratory.world.upload(service, 'source');
    const second = await laboratory.deploy(service, { verify: { sourceCheck: false } });
    await second.result();
    for (const { workflowId } of [first, second])
      assert.ok(!laboratory.activitiesOf(workflowId).includes('checkSource'));
  });

  const held = {
    upload: 'pin',
    'source-download': 'downloadSource',
    'model-download': 'downloadModel',
    build: 'buildSource',
    push: 'pushImage',
    rollout: 'rollout',
    verify: 'verify',
  } as const;
  for (const stage of stages)
    test(`says in its status that it is in ${stage}, and what came before`, async () => {
      const [deployment, gate] = await laboratory.deployWith(laboratory.service(), (faults) =>
        faults.hold(held[stage]),
      );
      await gate.reached;
      const status = await laboratory.status(deployment);
      const position = stages.indexOf(stage);
      assert.deepEqual([status.state, status.stage], ['running', stage]);
      assert.deepEqual(
        status.stages.map(({ state }) => state),
        stages.map((_, at) => (at < position ? 'done' : at === position ? 'running' : 'pending')),
      );
      gate.open();
      await deployment.result();
    });

  test('is found by model, service and stage, and reads well in the UI of Temporal', async () => {
    const service = laboratory.service();
    const deployment = await finished(service);
    const query = `SlipwayModel = "${service}" AND SlipwayService = "${service}" AND SlipwayStage = "verify"`;
    const found = await until(async () => {
      for await (const execution of laboratory.client.workflow.list({ query })) return execution;
      return null;
    });
    assert.equal(found.workflowId, deployment.workflowId);
    const { currentDetails } = await deployment.query<{ currentDetails: string }, []>(
      '__temporal_workflow_metadata',
    );
    assert.match(currentDetails, /^\*\*succeeded\*\*[^]*- push: done \(1 layer\)/);
  });
});

async function finished(service: string) {
  const deployment = await laboratory.deploy(service);
  await deployment.result();
  return deployment;
}
