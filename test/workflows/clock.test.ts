import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { ApplicationFailure } from '@temporalio/common';
import { milliseconds } from '../../contract/quantities.js';
import { lastingly } from '../support/memory-world.js';
import { timeSkippingTemporal } from '../support/temporal.js';
import { failureOf, Laboratory, until, type Deployment } from '../support/workflows.js';

const laboratory = await Laboratory.open(timeSkippingTemporal());
after(() => laboratory.close());

// Time is the server's, one for all: these tests go one by one.
describe('a deployment that awaits approval', { timeout: 300_000 }, () => {
  for (const [approval, deadline] of [
    [{ required: true }, '24h'],
    [{ required: true, deadline: '90m' }, '90m'],
  ] as const)
    test(`is taken back when nobody decides within ${deadline}`, async () => {
      const service = await laboratory.liveService(laboratory.serviceWithoutOwner());
      const before = await laboratory.world.census(service);
      const deployment = await laboratory.deploy(service, { approval });
      const { type, message } = await failureOf(deployment);
      assert.deepEqual([type, message], ['Rejected', `nobody approved within ${deadline}`]);
      assert.ok((await lasted(deployment)) >= milliseconds(deadline));
      assert.deepEqual(await laboratory.world.census(service), before);
    });

  test('has its own time for that: the deadline of the deployment stands still', async () => {
    const deployment = await laboratory.deploy(laboratory.serviceWithoutOwner(), {
      deadline: '1h',
      approval: { required: true },
    });
    await laboratory.statusWhen(deployment, ({ state }) => state === 'awaiting-approval');
    await laboratory.environment.sleep('5h');
    await laboratory.update(deployment, 'approve');
    await deployment.result();
    assert.ok((await lasted(deployment)) >= milliseconds('5h'));
  });
});

describe('the deadline of a deployment', { timeout: 300_000 }, () => {
  test('passed, everything is taken back', async () => {
    const service = await laboratory.liveService(laboratory.serviceWithoutOwner());
    const before = await laboratory.world.census(service);
    const [deployment] = await laboratory.deployWith(
      service,
      (faults) => faults.fail('rollout', inTwoHours, 'after', 1),
      { deadline: '1h' },
    );
    const { type, message, details } = await failureOf(deployment);
    assert.deepEqual(
      [type, message],
      ['DeadlineExceeded', 'the deployment took longer than its deadline of 1h'],
    );
    assert.equal((details['undone'] as unknown[]).length, 2);
    const took = await lasted(deployment);
    assert.ok(took >= milliseconds('1h') && took < milliseconds('2h'));
    assert.deepEqual(await laboratory.world.census(service), before);
  });

  test('not passed, a stage may take its time', async () => {
    const [deployment] = await laboratory.deployWith(
      laboratory.serviceWithoutOwner(),
      (faults) => faults.fail('rollout', inTwoHours, 'after', 1),
      { deadline: '3h' },
    );
    await deployment.result();
    assert.ok((await lasted(deployment)) >= milliseconds('2h'));
  });

  test('stands still while the deployment is paused, and goes on when it is resumed', async () => {
    const service = laboratory.serviceWithoutOwner();
    const [deployment, gate] = await laboratory.deployWith(
      service,
      (faults) => {
        faults.fail('rollout', inTwoHours, 'after', 1);
        return faults.hold('pin');
      },
      { deadline: '1h' },
    );
    await gate.reached;
    await laboratory.update(deployment, 'pause');
    gate.open();
    await laboratory.statusWhen(deployment, ({ state }) => state === 'paused');
    await laboratory.environment.sleep('5h');
    await laboratory.update(deployment, 'resume');
    assert.equal((await failureOf(deployment)).type, 'DeadlineExceeded');
    const took = await lasted(deployment);
    assert.ok(took >= milliseconds('6h') && took < milliseconds('7h'));
  });
});

describe('a canary step', { timeout: 300_000 }, () => {
  const steps = (...list: { weight: number; for: string }[]) => ({
    strategy: { kind: 'canary' as const, steps: list },
  });

  test('lasts as long as it says', async () => {
    const service = await laboratory.liveService(laboratory.serviceWithoutOwner());
    const deployment = await laboratory.deploy(
      service,
      steps({ weight: 10, for: '30m' }, { weight: 50, for: '1h' }),
    );
    await deployment.result();
    const took = await lasted(deployment);
    assert.ok(took >= milliseconds('90m') && took < milliseconds('100m'), `${took} ms`);
  });

  test('does not count the time it is paused, and neither does the deadline', async () => {
    const service = await laboratory.liveService(laboratory.serviceWithoutOwner());
    const deployment = await laboratory.deploy(service, {
      ...steps({ weight: 10, for: '50m' }),
      deadline: '1h',
    });
    await laboratory.statusWhen(deployment, ({ step }) => step.endsWith('for 50m'));
    await laboratory.environment.sleep('20m');
    await laboratory.update(deployment, 'pause');
    await laboratory.statusWhen(deployment, ({ state }) => state === 'paused');
    await laboratory.environment.sleep('5h');
    await laboratory.update(deployment, 'resume');
    await deployment.result();
    const took = await lasted(deployment);
    assert.ok(took >= milliseconds('350m') && took < milliseconds('360m'), `${took / 60_000} min`);
    const left = laboratory.world.judged.filter((look) => look.service === service).map((look) => look.left);
    const resumed = left.slice(left.indexOf(Infinity)).find((ms) => Number.isFinite(ms))!;
    assert.ok(resumed <= milliseconds('30m'), 'what was left of it when it was paused');
  });

  test('is cut short by the deadline of the deployment', async () => {
    const service = await laboratory.liveService(laboratory.serviceWithoutOwner());
    const before = await laboratory.world.census(service);
    const [deployment] = await laboratory.deployWith(
      service,
      (faults) => faults.fail('rollout', inTwoHours, 'after', 1),
      { ...steps({ weight: 10, for: '1h' }), deadline: '150m' },
    );
    assert.equal((await failureOf(deployment)).type, 'DeadlineExceeded');
    assert.deepEqual(await laboratory.world.census(service), before);
  });
});

describe('the owner of a service', { timeout: 300_000 }, () => {
  test('looks again a minute after a deployment for what came up late', async () => {
    const service = laboratory.service();
    await (await laboratory.deploy(service)).result();
    await laboratory.settled(service);
    const late = { name: `slipway-${service}.r0-0`, service, token: 0, release: `${service}.r0` };
    laboratory.world.containers.set(late.name, late);
    await laboratory.environment.sleep('2m');
    await until(async () => !laboratory.world.containers.has(late.name) || null);
  });

  test('tidies what was kept once its time is over, also when there was a deployment in between', async () => {
    const service = await laboratory.liveService();
    const keeping = { strategy: { kind: 'blueGreen', keep: '3h' } } as const;
    await (await laboratory.deploy(service, keeping)).result();
    await laboratory.settled(service);
    const there = () =>
      [...laboratory.world.containers.keys()].filter((name) => name.includes(`${service}.`));
    assert.equal(there().length, 2);
    const [failing] = await laboratory.deployWith(service, (faults) =>
      faults.fail('pushImage', lastingly('PushFailed')),
    );
    await failureOf(failing);
    await laboratory.settled(service);
    await laboratory.environment.sleep('2h');
    assert.equal(there().length, 2);
    await laboratory.environment.sleep('70m');
    await until(async () => (there().length === 1 ? true : null));
    assert.deepEqual(there(), [`slipway-${service}.r2-0`]);
  });

  test('is asked again every five minutes by who waits: its history may be lost, and with it the queue', async () => {
    const deployment = await laboratory.deploy(laboratory.serviceWithoutOwner(3), { onConflict: 'wait' });
    await deployment.result();
    const took = await lasted(deployment);
    assert.ok(took >= milliseconds('15m') && took < milliseconds('16m'));
  });
});

/** Passes, but not before two hours are over. */
const inTwoHours = ApplicationFailure.create({ message: 'not yet', nextRetryDelay: '2h' });

/** Milliseconds of the server's time that a deployment took. */
async function lasted(deployment: Deployment): Promise<number> {
  const { startedAt, endedAt } = await laboratory.status(deployment);
  return Date.parse(endedAt!) - Date.parse(startedAt);
}
