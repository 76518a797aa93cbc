import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import type { DeployRequest } from '../../contract/deploy.js';
import { lastingly } from '../support/memory-world.js';
import { localTemporal } from '../support/temporal.js';
import { endedCancelled, failureOf, Laboratory, until, type Deployment } from '../support/workflows.js';

const laboratory = await Laboratory.open(localTemporal());
after(() => laboratory.close());

type Steps = Extract<DeployRequest['strategy'], { kind: 'canary' }>['steps'];
const canary = (...steps: Steps): Partial<DeployRequest> => ({ strategy: { kind: 'canary', steps } });
const shortly = '100ms';

describe('a canary', { concurrency: 8, timeout: 300_000 }, () => {
  test('gets its share step by step, each judged, and then takes over', async () => {
    const service = await laboratory.liveService();
    const deployment = await laboratory.deploy(
      service,
      canary({ weight: 10, for: shortly }, { weight: 50, for: shortly }),
    );
    await deployment.result();
    const taken = laboratory.activitiesOf(deployment.workflowId);
    assert.deepEqual(taken.slice(taken.indexOf('publishTag') + 1), [
      'share',
      'analyse',
      'share',
      'analyse',
      'promote',
      'shift',
      'awaitGateways',
      'closeGrant',
      'tidy',
    ]);
    const atTheEnd = judged(service).filter(({ left }) => left <= 0);
    assert.deepEqual(
      atTheEnd.map(({ weight }) => weight),
      [10, 50],
    );
    assert.equal((await laboratory.status(deployment)).canary, undefined);
    assert.equal(await weightOf(service), null);
  });

  test('says where it stands, and its share is what the route says', async () => {
    const service = await laboratory.liveService();
    const deployment = await laboratory.deploy(service, canary({ weight: 5, for: shortly }, waits, last));
    const status = await waiting(deployment);
    assert.deepEqual(status.canary, { step: 2, steps: 3, weight: 25, paused: true });
    assert.equal(status.step, 'canary step 2 of 3: 25 %, waiting to be resumed');
    assert.equal(await weightOf(service), 25);
    assert.equal((await laboratory.world.catalog.getService(service))?.live, `${service}.r1`);
    await laboratory.update(deployment, 'resume');
    await deployment.result();
    assert.equal((await laboratory.world.catalog.getService(service))?.live, `${service}.r2`);
  });

  test('that waits is judged meanwhile, and again when it is resumed', async () => {
    const service = await laboratory.liveService();
    const deployment = await laboratory.deploy(service, canary(waits));
    await waiting(deployment);
    await until(async () => judged(service)[0] ?? null);
    assert.deepEqual(judged(service), [{ service, weight: 25, left: Infinity }]);
    await laboratory.update(deployment, 'resume');
    await deployment.result();
    assert.ok(judged(service).at(-1)!.left <= 0);
  });

  for (const [what, request, live] of [
    ['a first release', {}, false],
    ['a rollback', { rollbackTo: 'previous' }, true],
  ] as const)
    test(`is not what ${what} becomes: it takes over at once`, async () => {
      const service = live ? await laboratory.liveService() : laboratory.service();
      if (live) await laboratory.world.serve(service);
      const deployment = await laboratory.deploy(service, { ...canary(waits), ...request });
      await deployment.result();
      const taken = laboratory.activitiesOf(deployment.workflowId);
      assert.ok(!taken.includes('share') && !taken.includes('analyse'));
      assert.ok(taken.includes('promote'));
    });

  for (const activity of ['share', 'analyse', 'promote'] as const) {
    test(`that fails in ${activity} is taken back, and nothing goes to it any more`, async () => {
      const service = await laboratory.liveService();
      const before = await laboratory.world.census(service);
      const [deployment] = await laboratory.deployWith(
        service,
        (faults) => faults.fail(activity, lastingly('VerificationFailed')),
        canary({ weight: 10, for: shortly }),
      );
      assert.equal((await failureOf(deployment)).type, 'VerificationFailed');
      assert.deepEqual(await laboratory.world.census(service), before);
      const { canary: stood, state } = await laboratory.status(deployment);
      assert.deepEqual([stood?.step, stood?.weight, state], [1, 10, 'failed']);
    });

    test(`that is cancelled in ${activity} is taken back`, async () => {
      const service = await laboratory.liveService();
      const before = await laboratory.world.census(service);
      const [deployment, gate] = await laboratory.deployWith(
        service,
        (faults) => faults.hold(activity),
        canary({ weight: 10, for: shortly }),
      );
      await gate.reached;
      await deployment.cancel();
      assert.ok(await endedCancelled(deployment));
      assert.deepEqual(await laboratory.world.census(service), before);
    });
  }

  test('that is terminated in its step is taken back by the owner', async () => {
    const service = await laboratory.liveService();
    const before = await laboratory.world.census(service);
    const deployment = await laboratory.deploy(service, canary(waits));
    await waiting(deployment);
    assert.equal(await weightOf(service), 25);
    await deployment.terminate();
    await laboratory.settled(service);
    assert.deepEqual(await laboratory.world.census(service), before);
  });

  test('that fails while it waits is not waited for', async () => {
    const service = await laboratory.liveService();
    const before = await laboratory.world.census(service);
    const [deployment] = await laboratory.deployWith(
      service,
      (faults) => faults.fail('analyse', lastingly('VerificationFailed'), 'before'),
      canary(waits),
    );
    assert.equal((await failureOf(deployment)).type, 'VerificationFailed');
    assert.deepEqual(await laboratory.world.census(service), before);
  });

  test('whose step lasts longer than the deadline is refused, naming it', async () => {
    const steps = canary({ weight: 10, for: '3h' }, { weight: 50, for: '1h' });
    const failure = await failureOf(await laboratory.deploy(laboratory.service(), steps));
    assert.equal(failure.type, 'InvalidInput');
    assert.match(failure.message, /deadline: 4h is no longer than .* 3h \+ 1h/);
  });
});

describe('a canary step', { concurrency: 8, timeout: 300_000 }, () => {
  for (const [what, step] of [
    ['waits to be resumed', { weight: 25, pause: true }],
    ['lasts', { weight: 25, for: '1h' }],
  ] as const)
    test(`that ${what} can be skipped: it ends without its judgement, the next begins`, async () => {
      const service = await laboratory.liveService();
      const deployment = await laboratory.deploy(service, canary(step, last));
      await inStep(deployment, 1);
      await until(async () => judged(service)[0] ?? null);
      await laboratory.update(deployment, 'skip', { by: 'ann' });
      await deployment.result();
      const looks = judged(service).filter(({ weight }) => weight === 25);
      assert.ok(looks.length > 0 && looks.every(({ left }) => left > 0));
      assert.ok(judged(service).at(-1)!.left <= 0, 'the next one was judged');
    });

  test('that is only just on its way can be skipped: then it has no time at all', async () => {
    const service = await laboratory.liveService();
    const [deployment, gate] = await laboratory.deployWith(
      service,
      (faults) => faults.hold('share'),
      canary({ weight: 25, pause: true }),
    );
    await gate.reached;
    await laboratory.update(deployment, 'skip');
    gate.open();
    await deployment.result();
    assert.deepEqual(judged(service), []);
  });

  test('is not there to be skipped before the first and after the last', async () => {
    for (const activity of ['verify', 'promote'] as const) {
      const [deployment, gate] = await laboratory.deployWith(
        await laboratory.liveService(),
        (faults) => faults.hold(activity),
        canary({ weight: 25, for: shortly }),
      );
      await gate.reached;
      await assert.rejects(laboratory.update(deployment, 'skip'), isConflict(/no canary step is under way/));
      gate.open();
      await deployment.result();
    }
  });

  test('that is paused goes on when it is resumed, judged all the while', async () => {
    const service = await laboratory.liveService();
    const deployment = await laboratory.deploy(service, canary({ weight: 25, for: '2s' }));
    await inStep(deployment, 1);
    await laboratory.update(deployment, 'pause');
    const status = await waiting(deployment);
    assert.equal(status.step, 'canary step 1 of 1: 25 %, paused');
    await until(async () => (judged(service).some(({ left }) => left === Infinity) ? true : null));
    await laboratory.update(deployment, 'resume');
    await deployment.result();
    assert.ok(judged(service).at(-1)!.left <= 0);
  });

  test('is not begun while the deployment is paused', async () => {
    const service = await laboratory.liveService();
    const [deployment, gate] = await laboratory.deployWith(
      service,
      (faults) => faults.hold('share'),
      canary({ weight: 25, for: '1h' }, last),
    );
    await gate.reached;
    await laboratory.update(deployment, 'pause');
    await laboratory.update(deployment, 'skip');
    gate.open();
    const { step } = await waiting(deployment);
    assert.equal(step, 'paused before canary step 2 of 2: 50 %');
    await assert.rejects(laboratory.update(deployment, 'skip'), isConflict(/no canary step/));
    await laboratory.update(deployment, 'resume');
    await deployment.result();
  });

  test('that waits is not begun twice by a resume that came too early', async () => {
    const service = await laboratory.liveService();
    const deployment = await laboratory.deploy(service, canary(waits, { weight: 50, pause: true }));
    await waiting(deployment);
    await laboratory.update(deployment, 'resume');
    await laboratory.statusWhen(deployment, ({ canary: it, state }) => it?.step === 2 && state === 'paused');
    await laboratory.update(deployment, 'resume');
    await deployment.result();
  });
});

describe('a roll', { concurrency: 8, timeout: 300_000 }, () => {
  test('that is paused stops in the middle, and goes on when it is resumed', async () => {
    const service = await laboratory.liveService();
    const [deployment, gate] = await laboratory.deployWith(service, (faults) =>
      faults.hold('roll', 'before'),
    );
    await gate.reached;
    await laboratory.update(deployment, 'pause');
    const { step } = await waiting(deployment);
    assert.equal(step, 'paused while replacing replicas');
    gate.open();
    await laboratory.update(deployment, 'resume');
    await deployment.result();
    const rolls = laboratory.activitiesOf(deployment.workflowId).filter((name) => name === 'roll');
    assert.equal(rolls.length, 2);
  });
});

describe('what is noticed beforehand, and what somebody else does meanwhile', { timeout: 300_000 }, () => {
  test('is shown with the deployment', async () => {
    const service = laboratory.service();
    laboratory.world.warnings.set(service, ['no room for a surge']);
    laboratory.world.byHand.set(service, ['scaled by hand']);
    const deployment = await laboratory.deploy(service);
    await deployment.result();
    assert.deepEqual((await laboratory.status(deployment)).warnings, [
      'no room for a surge',
      'scaled by hand',
    ]);
  });
});

const waits = { weight: 25, pause: true } as const;
const last = { weight: 50, for: shortly } as const;

const judged = (service: string) => laboratory.world.judged.filter((look) => look.service === service);

const weightOf = async (service: string): Promise<number | null> =>
  (await laboratory.world.catalog.getRoute(service))?.canary?.weight ?? null;

const waiting = (deployment: Deployment) =>
  laboratory.statusWhen(deployment, ({ state }) => state === 'paused');

const inStep = (deployment: Deployment, step: number) =>
  laboratory.statusWhen(
    deployment,
    ({ canary: it, step: text }) => it?.step === step && !text.endsWith('on its way'),
  );

const isConflict = (message: RegExp) => (error: unknown) =>
  error instanceof WorkflowUpdateFailedError && message.test(String(error.cause?.message));
