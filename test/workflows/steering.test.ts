import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { lastingly } from '../support/memory-world.js';
import { localTemporal } from '../support/temporal.js';
import { endedCancelled, failureOf, Laboratory, type Deployment } from '../support/workflows.js';

const laboratory = await Laboratory.open(localTemporal());
after(() => laboratory.close());

const approval = { required: true };

describe('approval', { concurrency: 8, timeout: 300_000 }, () => {
  test('is awaited before the rollout, then the deployment goes on', async () => {
    const deployment = await laboratory.deploy(await laboratory.liveService(), { approval });
    const { step, stages, image } = await awaitingApproval(deployment);
    assert.equal(step, 'awaiting approval for 24h');
    assert.ok(image, 'the image to approve is named');
    assert.deepEqual(stages.at(-2), { name: 'rollout', state: 'pending' });
    await laboratory.update(deployment, 'approve', { by: 'ann', reason: 'looks good' });
    await deployment.result();
  });

  test('refused takes the deployment back and says by whom and why', async () => {
    const service = await laboratory.liveService();
    const before = await laboratory.world.census(service);
    const deployment = await laboratory.deploy(service, { approval });
    await awaitingApproval(deployment);
    await laboratory.update(deployment, 'reject', { by: 'bob', reason: 'not on a Friday' });
    const { type, message, details } = await failureOf(deployment);
    assert.deepEqual([type, message], ['Rejected', 'rejected by bob: not on a Friday']);
    assert.deepEqual([details['by'], details['reason']], ['bob', 'not on a Friday']);
    assert.equal((details['undone'] as unknown[]).length, 1);
    assert.deepEqual(await laboratory.world.census(service), before);
  });

  test('may be given ahead of time', async () => {
    const [deployment, gate] = await laboratory.deployWith(
      laboratory.service(),
      (faults) => faults.hold('pin'),
      { approval },
    );
    await gate.reached;
    await laboratory.update(deployment, 'approve');
    gate.open();
    await deployment.result();
  });

  for (const second of ['approve', 'reject'] as const)
    test(`is given once: ${second} after it is refused`, async () => {
      const [deployment, gate] = await laboratory.deployWith(
        laboratory.service(),
        (faults) => faults.hold('rollout'),
        { approval },
      );
      await awaitingApproval(deployment);
      await laboratory.update(deployment, 'approve');
      await gate.reached;
      await isRefused(deployment, second, /was decided already/);
      gate.open();
      await deployment.result();
    });

  test('is refused where none is needed', async () => {
    const [deployment, gate] = await laboratory.deployWith(laboratory.service(), (faults) =>
      faults.hold('pin'),
    );
    await gate.reached;
    await isRefused(deployment, 'approve', /needs no approval/);
    await isRefused(deployment, 'reject', /needs no approval/);
    gate.open();
    await deployment.result();
  });

  test('with a decision that is none is refused', async () => {
    const deployment = await laboratory.deploy(laboratory.service(), { approval });
    await awaitingApproval(deployment);
    await isRefused(deployment, 'approve', /by/, { by: 5 });
    assert.equal((await laboratory.status(deployment)).state, 'awaiting-approval');
    await laboratory.update(deployment, 'approve');
    await deployment.result();
  });

  test('awaited, the deployment can be cancelled', async () => {
    const service = await laboratory.liveService();
    const before = await laboratory.world.census(service);
    const deployment = await laboratory.deploy(service, { approval });
    await awaitingApproval(deployment);
    await deployment.cancel();
    assert.ok(await endedCancelled(deployment));
    assert.deepEqual(await laboratory.world.census(service), before);
  });
});

describe('a paused deployment', { concurrency: 8, timeout: 300_000 }, () => {
  test('ends the stage under way, waits before the next, and goes on when resumed', async () => {
    const deployment = await pausedIn('downloadModel');
    assert.deepEqual(laboratory.activitiesOf(deployment.workflowId).at(-1), 'downloadModel');
    await laboratory.update(deployment, 'pause');
    await laboratory.update(deployment, 'resume');
    await deployment.result();
    assert.equal((await laboratory.status(deployment)).state, 'succeeded');
  });

  test('can be cancelled', async () => {
    const deployment = await pausedIn('pushImage');
    await deployment.cancel();
    assert.ok(await endedCancelled(deployment));
    const { service, undo } = await laboratory.status(deployment);
    assert.deepEqual(
      undo.map(({ state }) => state),
      ['undone', 'undone', 'undone'],
    );
    assert.deepEqual((await laboratory.world.census(service))['manifests'], []);
  });

  test('that was approved meanwhile waits to be resumed', async () => {
    const deployment = await laboratory.deploy(laboratory.service(), { approval });
    await awaitingApproval(deployment);
    await laboratory.update(deployment, 'pause');
    await laboratory.update(deployment, 'approve');
    await laboratory.statusWhen(deployment, ({ state }) => state === 'paused');
    assert.ok(!laboratory.activitiesOf(deployment.workflowId).includes('rollout'));
    await laboratory.update(deployment, 'resume');
    await deployment.result();
  });
});

describe('a deployment that has come to its end', { concurrency: 8, timeout: 300_000 }, () => {
  const updates = ['approve', 'reject', 'pause', 'resume', 'skip'] as const;

  test('refuses every update', async () => {
    const deployment = await laboratory.deploy(laboratory.service());
    await deployment.result();
    for (const update of updates) await assert.rejects(laboratory.update(deployment, update));
  });

  test('refuses every update while it is taken back', async () => {
    const [deployment, gate] = await laboratory.deployWith(
      laboratory.service(),
      (faults) => {
        faults.fail('pushImage', lastingly('PushFailed'));
        return faults.hold('undoEffect');
      },
      { approval },
    );
    await gate.reached;
    for (const update of updates) await isRefused(deployment, update, /the deployment is undoing/);
    gate.open();
    assert.equal((await failureOf(deployment)).type, 'PushFailed');
  });
});

const awaitingApproval = (deployment: Deployment) =>
  laboratory.statusWhen(deployment, ({ state }) => state === 'awaiting-approval');

async function pausedIn(activity: 'downloadModel' | 'pushImage'): Promise<Deployment> {
  const [deployment, gate] = await laboratory.deployWith(laboratory.service(), (faults) =>
    faults.hold(activity),
  );
  await gate.reached;
  await laboratory.update(deployment, 'pause', { by: 'ann' });
  assert.equal((await laboratory.status(deployment)).state, 'running');
  gate.open();
  await laboratory.statusWhen(deployment, ({ state }) => state === 'paused');
  return deployment;
}

async function isRefused(
  deployment: Deployment,
  update: Parameters<Laboratory['update']>[1],
  message: RegExp,
  decision: unknown = {},
): Promise<void> {
  await assert.rejects(
    laboratory.update(deployment, update, decision),
    (error: unknown) =>
      error instanceof WorkflowUpdateFailedError && message.test(String(error.cause?.message)),
  );
}
