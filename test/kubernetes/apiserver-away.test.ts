import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { byHand } from '../../infra/local/kubernetes/simulated.js';
import { ask } from '../../platform/targets/kubernetes/apiserver/ask.js';
import { KubernetesError } from '../../platform/targets/kubernetes/apiserver/errors.js';
import { until, untilTrue } from '../support/until.js';
import { Berth } from './berth.js';
import type { Ground } from './ground.js';
import { Notes } from './notes.js';
import { OwnControlPlane } from './own-control-plane.js';

describe('an apiserver that is away', () => {
  let own: OwnControlPlane;
  let notes: Notes;
  let ground: Ground;
  before(async () => {
    own = await OwnControlPlane.start();
    notes = await Notes.open(own.plane);
    ({ ground } = notes);
  });
  after(async () => {
    await notes?.leave();
    await own?.stop();
  });

  test('ended while the apiserver does not answer, it ends at once and leaves no connection', async () => {
    await own.cluster.send('apiserver', 'SIGSTOP');
    try {
      await notes.following('mute', async (until, stop) => {
        setTimeout(() => stop.abort(new Error('enough')), 1_000);
        const began = Date.now();
        await assert.rejects(until({ a: '1' }), /^Error: enough$/);
        assert.ok(Date.now() - began < 8_000);
        assert.ok((await notes.busy()) > 0, 'it was asked');
      });
    } finally {
      await own.cluster.send('apiserver', 'SIGCONT');
    }
  });

  test('an apiserver that has forgotten what happened since is asked for everything again', async () => {
    await notes.write('gone', 'a', '1');
    await notes.write('gone', 'b', '1');
    await notes.following('gone', async (until) => {
      await until({ a: '1', b: '1' });
      notes.wire.refuse(true);
      notes.wire.cut();
      await notes.remove('gone', 'a');
      await notes.write('gone', 'c', '1');
      // It begins anew to remember changes.
      await own.cluster.send('apiserver', 'SIGKILL');
      await own.restart();
      await notes.write('gone', 'b', '2');
      const before = notes.lists();
      notes.wire.refuse(false);
      await until({ b: '2', c: '1' });
      assert.equal(notes.lists(), before + 1);
    });
  });

  test('one that ends and starts again is a passing fault all the while, and no refusal', async () => {
    const credentials = { username: '', password: '' };
    const berth = await Berth.open({ plane: own.plane, options: { credentials }, answers: false });
    try {
      const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }];
      const { cluster } = berth.as((await berth.somebody('patient', rules)).kubeconfig);
      const list = () => cluster.core.listNamespacedPod({ namespace: berth.name });
      await until(() => ask(cluster, 'listing pods', list).catch(() => null));
      await own.cluster.send('apiserver', 'SIGKILL');
      const failures: string[] = [];
      const back = sleep(500).then(() => own.cluster.again('apiserver'));
      for (const end = Date.now() + 120_000; ; await sleep(5)) {
        try {
          await ask(cluster, 'listing pods', list, { timeout: 2_000 });
          break;
        } catch (error) {
          assert.ok(error instanceof KubernetesError, inspect(error));
          assert.ok(Date.now() < end, error.message);
          failures.push(error.message);
        }
      }
      await back;
      assert.ok(failures.some((message) => message.includes('cannot reach the cluster at https://')));
    } finally {
      await berth.close();
    }
  });

  test('one that hangs for a while is a pause of the wait', async () => {
    await sowRunning('hanging', 2);
    const wait = await waiting('hanging', 2, '30s');
    await own.cluster.send('apiserver', 'SIGSTOP');
    await sleep(8_000);
    await own.cluster.send('apiserver', 'SIGCONT');
    await report('hanging', { ready: true });
    await wait.over;
  });

  test('one that is killed is a pause of the wait, longer than the budget', async () => {
    await sowRunning('killed', 2);
    const wait = await waiting('killed', 2, '5s');
    ground.seen.length = 0;
    await own.cluster.send('apiserver', 'SIGKILL');
    await sleep(10_000);
    const messages = ground.seen.map(({ message }) => message);
    await own.restart();
    await report('killed', { ready: true });
    await wait.over;
    assert.ok(messages.length >= 6, `${messages.length} heartbeats in ten seconds`);
    assert.match(
      messages.at(-1)!,
      /^0 of 2 ready after \d+ s of 5s; no word from the cluster for \d+ s: .*ECONNREFUSED/,
    );
  });

  test('what fails meanwhile is told once it is back', async () => {
    await sowRunning('crash', 1);
    const wait = await waiting('crash', 1, '1m');
    const told = assert.rejects(wait.over, /ended with exit code 4: ModuleNotFoundError/);
    await own.cluster.send('apiserver', 'SIGKILL');
    await sleep(3_000);
    await own.restart();
    const message = "ModuleNotFoundError: No module named 'nonsense'";
    await report('crash', { terminated: { exitCode: 4, reason: 'Error', message } });
    await told;
  });

  /** Waits for a workload, and has seen it and its pods. */
  async function waiting(name: string, replicas: number, budget: string): Promise<{ over: Promise<void> }> {
    ground.seen.length = 0;
    const over = ground.ready(name, { budget });
    const seen = new RegExp(`^0 of ${replicas} ready after [1-9]\\d* s`);
    await Promise.race([
      over,
      untilTrue(() => ground.seen.some(({ message }) => seen.test(message)), 60_000),
    ]);
    return { over };
  }

  /** A workload whose pods run, and become nothing but what is reported of them. */
  async function sowRunning(name: string, replicas: number): Promise<void> {
    await ground.sow(name, { replicas, annotations: byHand });
    await until(async () => {
      const pods = await ground.pods(name);
      return pods.length === replicas && pods.every(({ spec }) => spec?.nodeName) ? true : null;
    }, 120_000);
    await report(name, {});
  }

  /** Tells what a kubelet would of every pod of a workload. */
  async function report(
    name: string,
    { ready = false, terminated }: { ready?: boolean; terminated?: object },
  ): Promise<void> {
    const status = ready ? 'True' : 'False';
    for (const { metadata } of await ground.pods(name)) {
      const container = {
        ...{ name: 'model', image: 'probe', imageID: '', restartCount: 0, ready, started: ready },
        state: terminated ? { terminated } : { running: { startedAt: metadata!.creationTimestamp } },
      };
      const conditions = ['Ready', 'ContainersReady'].map((type) => ({ type, status }));
      const told = { status: { phase: 'Running', conditions, containerStatuses: [container] } };
      await ground.kubectl(
        ...['patch', 'pod', metadata!.name!, '--subresource=status', '-p', JSON.stringify(told)],
      );
    }
  }
});
