import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { lastingly } from '../support/memory-world.js';
import { localTemporal } from '../support/temporal.js';
import { endedCancelled, failureOf, Laboratory } from '../support/workflows.js';

const laboratory = await Laboratory.open(localTemporal());
after(() => laboratory.close());

describe('a rollback', { concurrency: 8, timeout: 300_000 }, () => {
  test('ships an earlier release as it was: nothing is downloaded, built, pushed or named', async () => {
    const service = await servingTwo();
    const earlier = (await laboratory.world.catalog.getRelease(`${service}.r1`))!;
    const deployment = await laboratory.deploy(service, { rollbackTo: 'previous' });
    const { release, image } = await deployment.result();
    assert.deepEqual([release, image], [`${service}.r3`, earlier.image]);
    assert.deepEqual(laboratory.activitiesOf(deployment.workflowId), [
      'requestGrant',
      'recallRelease',
      'admit',
      'rollout',
      'verify',
      'promote',
      'shift',
      'awaitGateways',
      'closeGrant',
      'tidy',
    ]);
    const { stages } = await laboratory.status(deployment);
    assert.deepEqual(
      stages.map(({ state }) => state),
      ['skipped', 'skipped', 'skipped', 'skipped', 'skipped', 'done', 'done'],
    );
    const made = await laboratory.world.catalog.getRelease(release);
    assert.deepEqual([made?.repeats, made?.weights], [earlier.id, earlier.weights]);
    const { live, previous } = await laboratory.world.census(service);
    assert.deepEqual([live, previous], [`${service}.r3`, `${service}.r2`]);
  });

  test('goes to the release it is told, and awaits no approval', async () => {
    const service = await servingTwo();
    await laboratory.world.serve(service);
    const deployment = await laboratory.deploy(service, {
      rollbackTo: `${service}.r1`,
      approval: { required: true },
    });
    const { release } = await deployment.result();
    assert.equal((await laboratory.world.catalog.getRelease(release))?.repeats, `${service}.r1`);
  });

  test('that fails is taken back, and starts no other: what served before serves', async () => {
    for (const activity of ['rollout', 'verify', 'promote', 'awaitGateways'] as const) {
      const service = await servingTwo();
      const before = await laboratory.world.census(service);
      const [deployment] = await laboratory.deployWith(
        service,
        (faults) => faults.fail(activity, lastingly('RolloutFailed')),
        { rollbackTo: 'previous' },
      );
      assert.equal((await failureOf(deployment)).type, 'RolloutFailed');
      assert.deepEqual(await laboratory.world.census(service), before);
      const { token } = (await laboratory.world.catalog.getService(service))!;
      assert.equal(token, 3, 'nobody asked for another grant');
    }
  });

  test('that is cancelled is taken back', async () => {
    const service = await servingTwo();
    const before = await laboratory.world.census(service);
    const [deployment, gate] = await laboratory.deployWith(service, (faults) => faults.hold('shift'), {
      rollbackTo: 'previous',
    });
    await gate.reached;
    await deployment.cancel();
    assert.ok(await endedCancelled(deployment));
    assert.deepEqual(await laboratory.world.census(service), before);
  });

  for (const [to, type, message] of [
    ['previous', 'NotFound', /no earlier release/],
    ['other-model.r1', 'NotFound', /no release "other-model\.r1"/],
    ['live', 'Conflict', /serves already/],
  ] as const)
    test(`to ${to === 'previous' ? 'nothing' : to === 'live' ? 'what is live' : 'another service’s'} is refused`, async () => {
      const service = await laboratory.liveService();
      const rollbackTo = to === 'live' ? `${service}.r1` : to;
      const failure = await failureOf(await laboratory.deploy(service, { rollbackTo }));
      assert.equal(failure.type, type);
      assert.match(failure.message, message);
    });
});

/** A service whose release 2 is live, with other weights than its release 1. */
async function servingTwo(): Promise<string> {
  const service = await laboratory.liveService();
  await laboratory.world.serve(service);
  await laboratory.world.tidy(service);
  return service;
}
