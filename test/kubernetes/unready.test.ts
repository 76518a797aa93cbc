import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CoreV1Api, type V1Pod } from '@kubernetes/client-node';
import { signalPod } from '../support/pods.js';
import { until } from '../support/until.js';
import { Drydock } from './drydock.js';
import { blueGreen, rolling } from './strategies.js';

describe('new replicas on Kubernetes that were verified, and are not ready when they are to take over', () => {
  const dock = Drydock.here();
  let core: CoreV1Api | undefined;

  /** What the live Service of the model leads to. */
  const selector = async (): Promise<string> => {
    const { cluster, namespace } = dock.harbour;
    core ??= cluster.kubeConfig().makeApiClient(CoreV1Api);
    const { spec } = await core.readNamespacedService({ namespace, name: dock.model });
    return JSON.stringify(spec?.selector);
  };

  /** A pod of the newest release, and the name of its workload. */
  async function newest(): Promise<{ pod: V1Pod; workload: string }> {
    const { harbour, model } = dock;
    const found = await harbour.kubectl(
      ...['get', 'pods', '-l', `slipway.dev/service=${model}`, '--sort-by=.metadata.creationTimestamp'],
      ...['-o', 'json'],
    );
    const pod = (JSON.parse(found) as { items: V1Pod[] }).items.at(-1)!;
    return { pod, workload: pod.metadata!.labels!['slipway.dev/workload']! };
  }

  /** Waits until one of the two replicas of a workload is not ready. */
  const untilUnready = (workload: string): Promise<true> =>
    until(async () => {
      const path = 'jsonpath={.status.readyReplicas}';
      return (await dock.harbour.kubectl('get', 'deployment', workload, '-o', path)) === '1' || null;
    });

  for (const { strategy } of [blueGreen, rolling])
    test(`${strategy.kind}: frozen, they are waited for, and the Service is theirs only when all are ready`, async () => {
      const { harbour, model, worker } = dock;
      const request = await harbour.newer(model, { greeting: `Bye from ${strategy.kind}` }, { strategy });
      await worker.change({ holdBefore: ['promote'] });
      const shipped = async (): Promise<void> => {
        const handle = await harbour.yard.deploy(request);
        await worker.held('promote');
        const before = await selector();
        const { pod, workload } = await newest();
        assert.ok(!before.includes(workload), before);
        await signalPod(pod, 'SIGSTOP');
        try {
          await untilUnready(workload);
          await worker.release();
          for (const end = Date.now() + 5_000; Date.now() < end; await delay(200))
            assert.equal(await selector(), before);
        } finally {
          await signalPod(pod, 'SIGCONT');
        }
        await handle.result();
        assert.ok((await selector()).includes(workload));
      };
      // Rolled out, they have the gateways' traffic already, and the frozen one cannot answer.
      if (strategy.kind === 'rolling') await shipped();
      else await harbour.losesNone(model, shipped);
      assert.equal(await harbour.yard.predict(model, 'Ada'), `Bye from ${strategy.kind}, Ada!`);
      await harbour.yard.untilFree(model);
    });

  test('blueGreen: killed, they are taken back, and the Service never was theirs', async () => {
    const { harbour, model, worker } = dock;
    const { strategy } = blueGreen;
    const request = await harbour.newer(model, { greeting: 'Never', delayMs: 15_000 }, { strategy });
    // What the deployment before had kept for going back goes first.
    await harbour.yard.assertNothingLeft();
    const objects = await harbour.objects(model);
    await worker.change({ holdBefore: ['promote'] });
    const { answers } = await harbour.losesNone(model, async () => {
      const handle = await harbour.yard.deploy(request);
      await worker.held('promote');
      const before = await selector();
      const { pod, workload } = await newest();
      await signalPod(pod, 'SIGKILL');
      await untilUnready(workload);
      await worker.release();
      const failed = harbour.yard.failure(handle);
      let over = false;
      void failed.finally(() => (over = true));
      for (; !over; await delay(100)) assert.equal(await selector(), before);
      const { type, message } = await failed;
      assert.equal(type, 'RolloutFailed');
      assert.match(message, /ended with exit code 137/);
    });
    assert.equal(answers.size, 1, [...answers.keys()].join());
    assert.deepEqual(await harbour.objects(model), objects);
    await harbour.yard.assertNothingLeft();
  });
});
