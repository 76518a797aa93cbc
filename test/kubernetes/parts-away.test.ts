import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { Harbour } from '../support/harbour.js';
import { holdPart, killPart, releasePart, type PartName } from '../support/harm.js';

describe('a cluster with parts away', () => {
  let harbour: Harbour;
  let model: string;
  before(async () => {
    harbour = await Harbour.open();
    model = await harbour.serving();
  });
  after(() => harbour.close());

  /** Deploys weights that take their time to load, so that there is a rollout to disturb. */
  async function rollOut(greeting: string, delayMs: number): Promise<WorkflowHandle> {
    const handle = await harbour.yard.deploy(await harbour.newer(model, { greeting, delayMs }));
    await untilStage(handle, 'rollout');
    return handle;
  }

  /** Waits until a deployment has entered a stage. */
  async function untilStage(handle: WorkflowHandle, name: string): Promise<void> {
    for (const end = Date.now() + 120_000; ; await delay(100)) {
      const { stages, failure } = await harbour.yard.status(handle);
      const stage = stages.find((each) => each.name === name);
      if (stage && stage.state !== 'pending') return;
      assert.ok(Date.now() < end && !failure, `"${name}" is not entered: ${failure?.message}`);
    }
  }

  test('the apiserver away while a failed release is taken back: the undo ends', async () => {
    const objects = await harbour.objects(model);
    await harbour.retrain(model, { wrong: true });
    const handle = await harbour.yard.deploy(harbour.request(model));
    await untilStage(handle, 'verify');
    await holdPart('apiserver');
    await delay(5_000);
    await releasePart('apiserver');
    assert.equal((await harbour.yard.failure(handle)).type, 'VerificationFailed');
    assert.deepEqual(await harbour.objects(model), objects);
    await harbour.yard.assertNothingLeft();
  });

  // Shorter than what a node may be unheard of, 50 s, and a busy machine takes its time to start it: past that, Kubernetes
  // takes the node's pods out of its Services, and how many requests are lost is a race of its own.
  test('the apiserver away for 20 s in the middle of a rollout: it goes on by itself, no request is lost', async () => {
    const away = async () => {
      const handle = await rollOut('Bye', 4_000);
      await delay(1_500);
      await holdPart('apiserver');
      try {
        await delay(20_000);
      } finally {
        await releasePart('apiserver');
      }
      await handle.result();
    };
    await harbour.losesNone(model, away);
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Bye, Ada!');
    await harbour.yard.assertNothingLeft(120_000);
  });

  test('one part after the other killed in a rollout: it goes on by itself, no request is lost', async () => {
    const left: PartName[] = ['etcd', 'controller-manager', 'kubelet', 'containerd', 'scheduler', 'proxy'];
    let greeting = '';
    const killed = async () => {
      for (let rollouts = 1; left.length > 0; rollouts += 1) {
        assert.ok(rollouts <= 6, `${left.join(', ')}: not killed in a rollout`);
        greeting = `Welcome back ${rollouts}`;
        const handle = await rollOut(greeting, 15_000);
        for (let part; (part = left[0]) !== undefined; left.shift()) {
          await delay(500);
          await killPart(part, 'SIGKILL');
          // On a busy machine it may be over by then: once more, in another one.
          const { stages } = await harbour.yard.status(handle);
          if (stages.find(({ name }) => name === 'verify')?.state !== 'pending') break;
        }
        await handle.result();
      }
    };
    await harbour.losesNone(model, killed);
    assert.equal(await harbour.yard.predict(model, 'Ada'), `${greeting}, Ada!`);
    await harbour.yard.assertNothingLeft(120_000);
  });
});
