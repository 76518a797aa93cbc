import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { ApplicationFailure } from '@temporalio/common';
import { lastingly } from '../support/memory-world.js';
import { localTemporal } from '../support/temporal.js';
import { endedCancelled, failureOf, Laboratory, type Deployment } from '../support/workflows.js';

const laboratory = await Laboratory.open(localTemporal());
after(() => laboratory.close());

/** Each activity of a deployment, in order, with the class it fails with and the stage that then shows it. */
const steps = [
  ['pin', 'NotFound', 'upload'],
  ['admit', 'RolloutFailed', 'upload'],
  ['downloadSource', 'NotFound', 'source-download'],
  ['downloadModel', 'InvalidInput', 'model-download'],
  ['buildSource', 'BuildFailed', 'build'],
  ['checkSource', 'VerificationFailed', 'build'],
  ['pushImage', 'PushFailed', 'push'],
  ['rollout', 'RolloutFailed', 'rollout'],
  ['verify', 'VerificationFailed', 'verify'],
  ['publishTag', 'PushFailed', null],
  ['roll', 'RolloutFailed', null],
  ['promote', 'RolloutFailed', null],
  ['shift', 'RolloutFailed', null],
  ['awaitGateways', 'RolloutFailed', null],
] as const;

describe('a deployment that fails', { concurrency: 8, timeout: 300_000 }, () => {
  for (const [activity, type, stage] of steps) {
    test(`in ${activity} takes back all it did, and what served before serves`, async () => {
      const { service, before } = await changedService();
      const [deployment] = await laboratory.deployWith(service, (faults) =>
        faults.fail(activity, lastingly(type)),
      );
      const failure = await failureOf(deployment);
      assert.deepEqual([failure.type, failure.nonRetryable], [type, true]);
      assert.equal(failure.message, `made to fail with ${type}`);
      assert.equal(failure.details['made'], true);
      assert.deepEqual(failure.details['undone'], await undoneInReverse(deployment, service, 2));
      assert.deepEqual(await laboratory.world.census(service), before);
      const { state, stages } = await laboratory.status(deployment);
      assert.equal(state, 'failed');
      assert.deepEqual(
        stages.filter((each) => each.state === 'failed').map(({ name }) => name),
        stage === null ? [] : [stage],
      );
    });

    if (activity === 'pin' || activity === 'rollout' || activity === 'awaitGateways')
      test(`in ${activity} the first time leaves nothing behind`, async () => {
        const service = laboratory.service();
        const before = await laboratory.world.census(service);
        const [deployment] = await laboratory.deployWith(
          service,
          (faults) => faults.fail(activity, lastingly(type)),
          { replicas: 2 },
        );
        assert.equal((await failureOf(deployment)).type, type);
        assert.deepEqual(await laboratory.world.census(service), before);
      });
  }

  test('names what it took back, newest first', async () => {
    const service = laboratory.service();
    const [deployment] = await laboratory.deployWith(
      service,
      (faults) => faults.fail('awaitGateways', lastingly('RolloutFailed')),
      { replicas: 2 },
    );
    const { details } = await failureOf(deployment);
    const undone = details['undone'] as { what: string }[];
    assert.deepEqual(
      undone.map(({ what }) => what.replace(/[0-9a-f]{12,64}$/, '…')),
      [
        `route to ${service}.r1`,
        `tag ${service}:20260101-…`,
        `container slipway-${service}.r1-1 on local`,
        `container slipway-${service}.r1-0 on local`,
        `manifest ${service}@sha256:…`,
        `manifest ${service}@sha256:…`,
        `build tag ${service}.build-1 on local`,
      ],
    );
  });

  test('takes back the rest when one thing cannot be, and says which', async () => {
    const { service } = await changedService();
    const [deployment] = await laboratory.deployWith(service, (faults) => {
      faults.fail('verify', lastingly('VerificationFailed'));
      faults.fail('undoEffect', lastingly('RolloutFailed'), 'before', 1);
    });
    const { type, details } = await failureOf(deployment);
    assert.equal(type, 'VerificationFailed');
    const [first, ...others] = details['undone'] as { what: string; state: string; error?: string }[];
    assert.match(first!.what, /^container /);
    assert.deepEqual([first!.state, first!.error], ['failed', 'made to fail with RolloutFailed']);
    assert.ok(others.length > 0 && others.every(({ state }) => state === 'undone'));
    const { openEffects, live, holder } = await laboratory.world.census(service);
    assert.deepEqual([(openEffects as unknown[]).length, live, holder], [1, `${service}.r1`, null]);
  });

  for (const [activity, type] of [
    ['pin', 'Internal'],
    ['buildSource', 'BuildFailed'],
    ['rollout', 'RolloutFailed'],
  ] as const)
    test(`for a reason of no class in ${activity} is told as ${type}`, async () => {
      const [deployment] = await laboratory.deployWith(laboratory.service(), (faults) =>
        faults.fail(activity, ApplicationFailure.nonRetryable('out of ink', 'DiskFull')),
      );
      const failure = await failureOf(deployment);
      assert.deepEqual([failure.type, failure.message], [type, 'out of ink']);
    });
});

describe('a deployment that is cancelled', { concurrency: 8, timeout: 300_000 }, () => {
  for (const [activity] of steps)
    test(`in ${activity} takes back all it did, then ends cancelled`, async () => {
      const { service, before } = await changedService();
      const [deployment, gate] = await laboratory.deployWith(service, (faults) => faults.hold(activity));
      await gate.reached;
      await deployment.cancel();
      assert.ok(await endedCancelled(deployment));
      assert.deepEqual(
        (await laboratory.status(deployment)).undo,
        await undoneInReverse(deployment, service, 2),
      );
      assert.deepEqual(await laboratory.world.census(service), before);
      const { state, failure } = await laboratory.status(deployment);
      assert.deepEqual([state, failure?.type], ['cancelled', 'Cancelled']);
    });

  for (const activity of ['buildSource', 'rollout', 'awaitGateways'] as const)
    test(`again while it undoes ${activity} still takes back everything`, async () => {
      const { service, before } = await changedService();
      const [deployment, { held, undoing }] = await laboratory.deployWith(service, (faults) => ({
        held: faults.hold(activity),
        undoing: faults.hold('undoEffect', 'before'),
      }));
      await held.reached;
      await deployment.cancel();
      await undoing.reached;
      await deployment.cancel();
      await deployment.cancel();
      undoing.open();
      assert.ok(await endedCancelled(deployment));
      assert.deepEqual(await laboratory.world.census(service), before);
    });

  test('once it has ended stays as it ended', async () => {
    const service = await laboratory.liveService();
    const deployment = await laboratory.deploy(service);
    await deployment.result();
    await laboratory.settled(service);
    const before = await laboratory.world.census(service);
    await deployment.cancel();
    assert.equal((await laboratory.status(deployment)).state, 'succeeded');
    assert.deepEqual(await laboratory.world.census(service), before);
  });

  test('while it clears away what served before has succeeded already', async () => {
    const service = await laboratory.liveService();
    const [deployment, gate] = await laboratory.deployWith(service, (faults) =>
      faults.hold('tidy', 'before'),
    );
    await gate.reached;
    await deployment.cancel();
    gate.open();
    assert.equal((await deployment.result()).release, `${service}.r2`);
    const { live, containers } = await laboratory.world.census(service);
    assert.deepEqual([live, (containers as unknown[]).length], [`${service}.r2`, 1]);
  });
});

/** A service that is live, with a new source and new weights uploaded since. */
async function changedService() {
  const service = await laboratory.liveService();
  laboratory.world.upload(service, 'source');
  return { service, before: await laboratory.world.census(service) };
}

/** What an undo of everything that was journaled looks like, newest first. */
async function undoneInReverse(deployment: Deployment, service: string, token: number) {
  assert.equal((await laboratory.status(deployment)).token, token);
  return laboratory.world
    .effects(service, token)
    .toReversed()
    .map((what) => ({ what, state: 'undone' }));
}
