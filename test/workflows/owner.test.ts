import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { messageOf } from '../../contract/errors.js';
import { serviceWorkflowId } from '../../contract/service.js';
import { Gate } from '../support/faults-in-memory.js';
import { localTemporal } from '../support/temporal.js';
import { endedCancelled, failureOf, Laboratory, until, type Deployment } from '../support/workflows.js';

const laboratory = await Laboratory.open(localTemporal());
after(() => laboratory.close());

describe('a service that is being changed', { concurrency: 8, timeout: 300_000 }, () => {
  test('refuses a second deployment, naming the first', async () => {
    const { service, first, gate } = await changing();
    const second = await laboratory.deploy(service);
    const { type, message, details } = await failureOf(second);
    assert.equal(type, 'Conflict');
    assert.match(message, new RegExp(`changed by deployment "${first.workflowId}"`));
    assert.equal((details['holder'] as Deployment).workflowId, first.workflowId);
    const { state, failure } = await laboratory.status(second);
    assert.deepEqual([state, failure?.type], ['failed', 'Conflict']);
    gate.open();
    await first.result();
  });

  test('lets those who wait have it in their order, each with a higher token', async () => {
    const { service, first, gate } = await changing();
    const second = await queued(service, 'wait');
    const third = await queued(service, 'wait');
    const { state, step } = await laboratory.status(second);
    assert.deepEqual([state, step], ['waiting', `waiting for deployment "${first.workflowId}"`]);
    gate.open();
    const releases = [await first.result(), await second.result(), await third.result()];
    assert.deepEqual(
      releases.map(({ release }) => release),
      [2, 3, 4].map((token) => `${service}.r${token}`),
    );
    assert.ok(ended(first, 'closeGrant') < began(second, 'pin'));
    assert.ok(ended(second, 'closeGrant') < began(third, 'pin'));
  });

  test('is given to who supersedes once the first is cancelled and taken back whole', async () => {
    const { service, first, gate } = await changing();
    const waiting = await queued(service, 'wait');
    const [superseding, held] = await laboratory.deployWith(
      service,
      (faults) => faults.hold('pin', 'before'),
      { onConflict: 'supersede' },
    );
    assert.ok(await endedCancelled(first));
    await held.reached;
    const { containers, openEffects, live } = await laboratory.world.census(service);
    assert.deepEqual(
      [(containers as { release: string }[]).map(({ release }) => release), openEffects, live],
      [[`${service}.r1`], [], `${service}.r1`],
    );
    assert.ok(ended(first, 'closeGrant') < began(superseding, 'pin'));
    held.open();
    assert.equal((await superseding.result()).release, `${service}.r3`);
    assert.equal((await waiting.result()).release, `${service}.r4`);
    gate.open();
  });

  test('passes over a deployment that was cancelled while it waited', async () => {
    const { service, first, gate } = await changing();
    const second = await queued(service, 'wait');
    const third = await queued(service, 'wait');
    await second.cancel();
    assert.ok(await endedCancelled(second));
    assert.equal((await laboratory.status(second)).state, 'cancelled');
    gate.open();
    await first.result();
    await third.result();
    assert.deepEqual(laboratory.activitiesOf(second.workflowId), ['requestGrant']);
  });
});

describe('a deployment that is terminated', { concurrency: 8, timeout: 300_000 }, () => {
  const steps = [
    'pin',
    'buildSource',
    'checkSource',
    'pushImage',
    'rollout',
    'verify',
    'publishTag',
    'shift',
    'awaitGateways',
  ] as const;
  for (const activity of steps)
    test(`in ${activity} is taken back by the owner of the service`, async () => {
      const service = await laboratory.liveService();
      laboratory.world.upload(service, 'source');
      const before = await laboratory.world.census(service);
      const [deployment, gate] = await laboratory.deployWith(service, (faults) => faults.hold(activity));
      await gate.reached;
      await deployment.terminate('pulled the plug');
      await laboratory.settled(service);
      assert.deepEqual(await laboratory.world.census(service), before);
      const { outcomes, journal } = laboratory.world.catalog;
      const outcome = outcomes.find(({ grant }) => grant.deployment.workflowId === deployment.workflowId);
      assert.equal(outcome?.outcome, 'lost');
      const entries = journal.filter(({ deployment: by }) => by === deployment.workflowId);
      assert.ok(entries.every(({ state }) => state === 'undone'));
    });

  for (const onConflict of ['fail', 'wait', 'supersede'] as const)
    test(`strands no lock: the next one (${onConflict}) gets the service`, async () => {
      const { service, first } = await changing();
      await first.terminate();
      const next = await laboratory.deploy(service, { onConflict });
      assert.equal((await next.result()).release, `${service}.r3`);
      assert.ok(!(await laboratory.world.catalog.getRelease(`${service}.r2`)));
      const { containers } = await laboratory.world.census(service);
      assert.deepEqual(
        (containers as { release: string }[]).map(({ release }) => release),
        [`${service}.r3`],
      );
    });

  test('while it clears away what served before has succeeded: its release stays', async () => {
    const service = await laboratory.liveService();
    const [deployment, gate] = await laboratory.deployWith(service, (faults) =>
      faults.hold('tidy', 'before'),
    );
    await gate.reached;
    await deployment.terminate();
    await laboratory.settled(service);
    const { live, containers } = await laboratory.world.census(service);
    assert.equal(live, `${service}.r2`);
    assert.deepEqual(
      (containers as { release: string }[]).map(({ release }) => release),
      [`${service}.r2`],
    );
  });

  test('and whose worker acts all the same, later, changes nothing', async () => {
    const service = await laboratory.liveService();
    const before = await laboratory.world.census(service);
    const [deployment, gate] = await laboratory.deployWith(service, (faults) =>
      faults.hold('rollout', 'before', new Gate(true)),
    );
    await gate.reached;
    await deployment.terminate();
    await laboratory.settled(service);
    gate.open();
    const late = laboratory.calls.find(
      ({ workflowId, activity }) => workflowId === deployment.workflowId && activity === 'rollout',
    )!;
    const error = await until(async () => late.error ?? null);
    assert.match(messageOf(error), /fenced: grant 2 of .* has ended/);
    assert.deepEqual(await laboratory.world.census(service), before);
  });
});

describe('a deployment that is cancelled', { timeout: 300_000 }, () => {
  test('before it hears that it was granted the service gives it back', async () => {
    const service = await laboratory.liveService();
    const before = await laboratory.world.census(service);
    const [deployment, gate] = await laboratory.deployWith(service, (faults) => faults.hold('requestGrant'));
    await gate.reached;
    assert.equal((await laboratory.serviceState(service)).holder?.workflowId, deployment.workflowId);
    await deployment.cancel();
    assert.ok(await endedCancelled(deployment));
    await laboratory.settled(service);
    gate.open();
    assert.deepEqual(await laboratory.world.census(service), before);
    assert.equal((await (await laboratory.deploy(service)).result()).release, `${service}.r3`);
  });
});

describe('an owner whose history is lost', { concurrency: 8, timeout: 300_000 }, () => {
  test('finds who holds the service in the catalog, and refuses others for it', async () => {
    const { service, first, gate } = await changing();
    await terminateOwner(service);
    const { type, details } = await failureOf(await laboratory.deploy(service));
    assert.equal(type, 'Conflict');
    assert.equal((details['holder'] as Deployment).workflowId, first.workflowId);
    const next = await queued(service, 'wait');
    gate.open();
    assert.equal((await first.result()).release, `${service}.r2`);
    assert.equal((await next.result()).release, `${service}.r3`);
  });

  test('takes back a holder that was lost with it', async () => {
    const { service, first } = await changing();
    await terminateOwner(service);
    await first.terminate();
    const next = await laboratory.deploy(service);
    assert.equal((await next.result()).release, `${service}.r3`);
    const { outcomes } = laboratory.world.catalog;
    assert.equal(
      outcomes.find(({ grant }) => grant.service === service && grant.token === 2)?.outcome,
      'lost',
    );
  });
});

describe('an owner whose history grows long', { timeout: 300_000 }, () => {
  test('starts a new one and keeps the queue, the tokens and the service', async () => {
    const short = await Laboratory.open(localTemporal({ 'limit.historyCount.suggestContinueAsNew': 40 }));
    try {
      const service = short.service();
      const [first, gate] = await short.deployWith(service, (faults) => faults.hold('rollout'));
      await gate.reached;
      const owner = short.client.workflow.getHandle(serviceWorkflowId(service));
      const run = (await owner.describe()).runId;
      const waiting: Deployment[] = [];
      for (let count = 0; count < 6; count += 1) {
        waiting.push(await short.deploy(service, { onConflict: 'wait' }));
        await until(async () =>
          (await short.serviceState(service)).waiting.length === waiting.length ? true : null,
        );
      }
      gate.open();
      const releases = [];
      for (const deployment of [first, ...waiting]) releases.push((await deployment.result()).release);
      assert.deepEqual(
        releases,
        [1, 2, 3, 4, 5, 6, 7].map((token) => `${service}.r${token}`),
      );
      await short.settled(service);
      assert.notEqual((await owner.describe()).runId, run);
    } finally {
      await short.close();
    }
  });
});

/** A service that serves its release 1, and a deployment of release 2 held once its replicas are started. */
async function changing() {
  const service = await laboratory.liveService();
  const [first, gate] = await laboratory.deployWith(service, (faults) => faults.hold('rollout'));
  await gate.reached;
  return { service, first, gate };
}

async function queued(service: string, onConflict: 'wait' | 'supersede'): Promise<Deployment> {
  const deployment = await laboratory.deploy(service, { onConflict });
  await laboratory.statusWhen(deployment, ({ step }) => step.startsWith('waiting for'));
  return deployment;
}

async function terminateOwner(service: string): Promise<void> {
  await laboratory.client.workflow.getHandle(serviceWorkflowId(service)).terminate('history lost');
}

const began = ({ workflowId }: Deployment, activity: string): number =>
  laboratory.calls.find((call) => call.workflowId === workflowId && call.activity === activity)!.began;

const ended = ({ workflowId }: Deployment, activity: string): number =>
  laboratory.calls.find((call) => call.workflowId === workflowId && call.activity === activity)!.ended!;
