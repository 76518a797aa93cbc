import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { DeployRequest } from '../../contract/deploy.js';
import { lastingly } from '../support/memory-world.js';
import { localTemporal } from '../support/temporal.js';
import { failureOf, Laboratory, type Deployment } from '../support/workflows.js';

const laboratory = await Laboratory.open(localTemporal());
after(() => laboratory.close());

const canary: Partial<DeployRequest> = {
  strategy: { kind: 'canary', steps: [{ weight: 10, for: '100ms' }] },
};
const by = { by: 'ann', reason: 'wrong model' };

describe('a deployment that is aborted', { concurrency: 8, timeout: 300_000 }, () => {
  for (const [activity, request] of [
    ['pin', {}],
    ['pushImage', {}],
    ['rollout', {}],
    ['roll', {}],
    ['share', canary],
    ['analyse', canary],
    ['promote', canary],
    ['shift', {}],
    ['awaitGateways', {}],
    ['verify', { rollbackTo: 'previous' }],
  ] as const)
    test(`in ${activity}${'rollbackTo' in request ? ' of a rollback' : ''} fails as aborted, undone whole`, async () => {
      const service = await laboratory.liveService();
      await laboratory.world.serve(service);
      await laboratory.world.tidy(service);
      laboratory.world.upload(service, 'weights');
      const before = await laboratory.world.census(service);
      const [deployment, gate] = await laboratory.deployWith(
        service,
        (faults) => faults.hold(activity),
        request,
      );
      await gate.reached;
      assert.deepEqual(await laboratory.abort(deployment, by), { requested: true, state: 'running' });
      await isAborted(deployment);
      assert.deepEqual(await laboratory.world.census(service), before);
    });

  test('while it waits for another says so, and the other goes on', async () => {
    const service = await laboratory.liveService();
    const [first, gate] = await laboratory.deployWith(service, (faults) => faults.hold('rollout'));
    await gate.reached;
    const second = await laboratory.deploy(service, { onConflict: 'wait' });
    await laboratory.statusWhen(second, ({ step }) => step.startsWith('waiting for'));
    assert.deepEqual(await laboratory.abort(second, by), { requested: true, state: 'waiting' });
    await isAborted(second);
    gate.open();
    assert.equal((await first.result()).release, `${service}.r2`);
    await laboratory.settled(service);
  });

  const waiting: [string, Partial<DeployRequest>, 'pause' | null][] = [
    ['while it awaits approval', { approval: { required: true } }, null],
    ['in a step that waits', { strategy: { kind: 'canary', steps: [{ weight: 10, pause: true }] } }, null],
    ['while it is paused', { approval: { required: true } }, 'pause'],
  ];
  for (const [what, request, update] of waiting)
    test(`${what} does not go on waiting`, async () => {
      const service = await laboratory.liveService();
      const before = await laboratory.world.census(service);
      const deployment = await laboratory.deploy(service, request);
      const held = ['awaiting-approval', 'paused'];
      await laboratory.statusWhen(deployment, ({ state }) => held.includes(state));
      if (update) {
        await laboratory.update(deployment, update);
        await laboratory.update(deployment, 'approve');
        await laboratory.statusWhen(deployment, ({ state }) => state === 'paused');
      }
      assert.equal((await laboratory.abort(deployment, by)).requested, true);
      await isAborted(deployment);
      assert.deepEqual(await laboratory.world.census(service), before);
    });

  test('twice, and while it is undone, is aborted once', async () => {
    const service = await laboratory.liveService();
    const [deployment, [gate, undoing]] = await laboratory.deployWith(service, (faults) => [
      faults.hold('pushImage'),
      faults.hold('undoEffect'),
    ]);
    await gate.reached;
    assert.equal((await laboratory.abort(deployment, by)).requested, true);
    await undoing.reached;
    assert.deepEqual(await laboratory.abort(deployment), { requested: false, state: 'undoing' });
    undoing.open();
    await isAborted(deployment);
  });

  test('while it is undone for another reason ends for that', async () => {
    const [deployment, undoing] = await laboratory.deployWith(await laboratory.liveService(), (faults) => {
      faults.fail('pushImage', lastingly('PushFailed'));
      return faults.hold('undoEffect');
    });
    await undoing.reached;
    assert.deepEqual(await laboratory.abort(deployment), { requested: false, state: 'undoing' });
    undoing.open();
    assert.equal((await failureOf(deployment)).type, 'PushFailed');
  });

  test('after it was cancelled ends cancelled', async () => {
    const [deployment, gate] = await laboratory.deployWith(await laboratory.liveService(), (faults) =>
      faults.hold('undoEffect'),
    );
    const held = laboratory.faultsOf(deployment.workflowId).hold('pushImage');
    await held.reached;
    await deployment.cancel();
    await gate.reached;
    assert.equal((await laboratory.abort(deployment)).requested, false);
    gate.open();
    await assert.rejects(deployment.result(), /cancelled/i);
  });

  test('after its release serves for good has succeeded all the same', async () => {
    for (const activity of ['closeGrant', 'tidy'] as const) {
      const service = await laboratory.liveService();
      const [deployment, gate] = await laboratory.deployWith(service, (faults) =>
        faults.hold(activity, 'before'),
      );
      await gate.reached;
      assert.deepEqual(await laboratory.abort(deployment), { requested: false, state: 'running' });
      gate.open();
      assert.equal((await deployment.result()).release, `${service}.r2`);
    }
  });
});

async function isAborted(deployment: Deployment): Promise<void> {
  const { type, message, details } = await failureOf(deployment);
  assert.deepEqual([type, message], ['Aborted', 'aborted by ann: wrong model']);
  assert.deepEqual([details['by'], details['reason']], ['ann', 'wrong model']);
  const { state, failure, undo } = await laboratory.status(deployment);
  assert.deepEqual([state, failure?.type], ['failed', 'Aborted']);
  assert.ok(undo.every((step) => step.state === 'undone'));
}
