import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DeployRequest } from '../../contract/deploy.js';
import type { ActivityName } from '../support/faults.js';
import { Drydock } from './drydock.js';
import { blueGreen, rolling } from './strategies.js';

/** A label of the cluster's only node that new replicas ask for, where it matters. */
const label = 'slipway.test/berth';

describe('a rollout on Kubernetes that makes no progress, under traffic', () => {
  const dock = Drydock.here();

  /** Deploys what stalls, in an activity that is held until the fault is made; the release before serves on. Answers how it failed. */
  async function stalls(
    request: DeployRequest,
    fault?: { before: ActivityName; make: () => Promise<unknown> },
  ): Promise<{ message: string; seconds: number; answers: string[] }> {
    const { harbour, model, worker } = dock;
    const objects = await harbour.objects(model);
    let failed = { type: '', message: '' };
    let seconds = 0;
    await worker.change(fault ? { holdBefore: [fault.before] } : {});
    const { answers } = await harbour.losesNone(model, async () => {
      const handle = await harbour.yard.deploy(request);
      if (fault) {
        await worker.held(fault.before);
        await fault.make();
        await worker.release();
      }
      const { type, message } = await harbour.yard.failure(handle);
      failed = { type: type ?? '', message };
      const { stages, undo } = await harbour.yard.status(handle);
      // All of it came back as it had been.
      for (const { what, state, notes = [] } of undo)
        assert.deepEqual([what, state, notes], [what, 'undone', []]);
      const { startedAt, endedAt } = stages.find(({ name }) => name === 'rollout')!;
      seconds = (Date.parse(endedAt ?? '') - Date.parse(startedAt ?? '')) / 1000;
    });
    assert.equal(failed.type, 'RolloutFailed', failed.message);
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Hello, Ada!');
    assert.deepEqual(await harbour.objects(model), objects);
    await harbour.assertOnly(model, objects.find((name) => name.startsWith('deployment'))!.split('/')[1]!, 2);
    await harbour.yard.assertNothingLeft();
    return { message: failed.message, seconds, answers: [...answers.keys()] };
  }

  for (const { strategy } of [rolling, blueGreen])
    test(`${strategy.kind}: a model that is not loaded in time is given up, and named with its last answer`, async () => {
      const { harbour, model } = dock;
      const request = await harbour.newer(model, { greeting: 'Bye', delayMs: 600_000 }, { strategy });
      const verify = { ...request.verify, startupBudget: '6s' };
      const { message, seconds, answers } = await stalls({ ...request, verify });
      // On a busy machine nothing listens yet.
      assert.match(
        message,
        /was not ready within its start-up budget of 6s; last answer: .*(?:503|refused|exceeded)/,
      );
      assert.deepEqual(answers, ['Hello, Ada!']);
      // Long before the cluster itself would call it stuck, which it does after ten minutes and that budget.
      assert.ok(seconds > 6 && seconds < 180, `given up after ${seconds} s`);
    });

  test('rolling: the second replica finds no node, after a live one has made way for it', async () => {
    const { harbour, model } = dock;
    const { cluster } = harbour;
    const node = await cluster.kubectl(['get', 'nodes', '-o', 'name']);
    await cluster.kubectl(['label', node, `${label}=free`]);
    const { strategy } = rolling;
    const kubernetes = { nodeSelector: { [label]: 'free' } };
    const request = await harbour.newer(model, { greeting: 'Bye' }, { strategy, kubernetes });
    const make = () => cluster.kubectl(['label', node, `${label}-`]);
    const { message } = await stalls(request, { before: 'roll', make });
    assert.match(message, /cannot be scheduled: .*node\(s\) didn't match Pod's node affinity\/selector/);
  });

  test('rolling: somebody takes the room that a live one has left, and new ones make way to get it back', async () => {
    const { harbour, model } = dock;
    const request = await harbour.newer(model, { greeting: 'Bye' }, { strategy: rolling.strategy });
    const make = () => harbour.kubectl('create', 'quota', 'few', '--hard=pods=2');
    const { message } = await stalls(request, { before: 'roll', make });
    assert.match(message, /cannot make its pods: .*exceeded quota: few/);
    await harbour.kubectl('delete', 'quota', 'few');
  });
});
