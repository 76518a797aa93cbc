import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { holdPart, killPart, releasePart } from '../support/cluster.js';
import { FaultWorker } from '../support/faults.js';
import { Harbour } from '../support/harbour.js';
import { killComponent, repair } from '../support/stack.js';
import { strategies } from './strategies.js';

const verify = { samples: [{ input: 'Ada', expect: 'Bye, Ada!' }] };

describe('a cluster that is away', () => {
  let harbour: Harbour;
  before(async () => {
    harbour = await Harbour.open();
  });
  after(() => harbour.close());

  test('the apiserver away for 60 s in the middle of a rollout: it goes on by itself', async () => {
    const model = await harbour.serving();
    await harbour.retrain(model, { greeting: 'Bye', delayMs: 4_000 });
    await harbour.losesNone(model, async () => {
      const handle = await harbour.yard.deploy(harbour.request(model, { verify }));
      await untilStage(harbour, handle, 'rollout');
      await delay(1_500);
      await holdPart('apiserver');
      try {
        await delay(60_000);
      } finally {
        await releasePart('apiserver');
      }
      await handle.result();
    });
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Bye, Ada!');
    await harbour.yard.assertNothingLeft();
  });

  for (const part of ['etcd', 'controller-manager', 'kubelet', 'containerd'] as const)
    test(`${part} killed while a release is rolled out: it goes on by itself`, async () => {
      const model = await harbour.serving();
      await harbour.retrain(model, { greeting: 'Bye', delayMs: 2_000 });
      const handle = await harbour.yard.deploy(harbour.request(model, { verify }));
      await untilStage(harbour, handle, 'rollout');
      await delay(500);
      await killPart(part, 'SIGKILL');
      await handle.result();
      assert.equal(await harbour.yard.predict(model, 'Ada'), 'Bye, Ada!');
      await harbour.yard.assertNothingLeft();
    });

  test('the apiserver away while a failed release is taken back: the undo ends', async () => {
    const model = await harbour.serving();
    const objects = await harbour.objects(model);
    await harbour.retrain(model, { wrong: true });
    const handle = await harbour.yard.deploy(harbour.request(model));
    await untilStage(harbour, handle, 'verify');
    await holdPart('apiserver');
    await delay(5_000);
    await releasePart('apiserver');
    assert.equal((await harbour.yard.failure(handle)).type, 'VerificationFailed');
    assert.deepEqual(await harbour.objects(model), objects);
    await harbour.yard.assertNothingLeft();
  });
});

describe('workers that fail, with Kubernetes', () => {
  let harbour: Harbour;
  before(async () => {
    harbour = await Harbour.open();
    await killComponent('worker', 'SIGTERM');
  });
  after(async () => {
    await repair();
    await harbour.close();
  });

  test('every activity acts and its first reply is lost: each strategy comes out as if nothing had happened', async () => {
    const worker = await FaultWorker.start({ loseFirstReply: 'all' });
    try {
      const model = await harbour.serving();
      for (const [index, { strategy }] of strategies.entries()) {
        const greeting = `Bye ${index}`;
        await harbour.retrain(model, { greeting });
        const samples = [{ input: 'Ada', expect: `${greeting}, Ada!` }];
        const request = harbour.request(model, { strategy, verify: { samples } });
        await harbour.losesNone(model, () => harbour.yard.ship(request), 20);
        assert.equal(await harbour.yard.predict(model, 'Ada'), `${greeting}, Ada!`);
        await harbour.yard.assertNothingLeft();
      }
      await harbour.retrain(model, { wrong: true });
      const failing = await harbour.yard.deploy(harbour.request(model));
      assert.equal((await harbour.yard.failure(failing)).type, 'VerificationFailed');
      const lost = await worker.lost();
      for (const activity of ['rollout', 'verify', 'roll', 'share', 'promote', 'shift', 'undoEffect'])
        assert.ok(lost.includes(activity), `${activity} has lost a reply`);
      await harbour.yard.assertNothingLeft();
    } finally {
      await worker.end('SIGTERM');
    }
  });

  for (const activity of ['rollout', 'roll'] as const)
    test(`presumed dead in ${activity}, it wakes up after its deployment was undone: the late effect does not win`, async () => {
      const first = await FaultWorker.start();
      const model = await harbour.serving();
      await harbour.retrain(model, { greeting: 'Bye' });
      await first.end('SIGTERM');
      const sleeper = await FaultWorker.start({ holdBefore: [activity] });
      const handle = await harbour.yard.deploy(harbour.request(model, { verify }));
      await sleeper.held(activity);
      sleeper.freeze();
      const worker = await FaultWorker.start();
      try {
        await handle.terminate('the worker is presumed dead');
        await harbour.yard.untilFree(model);
        await harbour.yard.assertNothingLeft();
        await sleeper.release();
        sleeper.thaw();
        await delay(5_000);
        assert.equal(await harbour.yard.predict(model, 'Ada'), 'Hello, Ada!');
        const { release } = await harbour.yard.ship(harbour.request(model, { verify }));
        await harbour.assertOnly(model, release, 2);
        await harbour.yard.assertNothingLeft();
      } finally {
        await sleeper.end('SIGKILL');
        await worker.end('SIGTERM');
      }
    });
});

type Handle = Awaited<ReturnType<Harbour['yard']['deploy']>>;

/** Waits until a deployment has entered a stage. */
async function untilStage(harbour: Harbour, handle: Handle, name: string): Promise<void> {
  for (const end = Date.now() + 120_000; ; await delay(100)) {
    const { stages, failure } = await harbour.yard.status(handle);
    const stage = stages.find((each) => each.name === name);
    if (stage && stage.state !== 'pending') return;
    assert.ok(Date.now() < end && !failure, `"${name}" is not entered: ${failure?.message}`);
  }
}
