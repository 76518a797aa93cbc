import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ActivityName } from '../support/faults.js';
import { Drydock } from './drydock.js';
import { allAway, away } from './outage.js';
import { until } from '../support/until.js';

/** Activities of an undo that are held one after the other: all that come of a kind, where one is named several times. */
type Steps = { stages: readonly ActivityName[]; undo: readonly ActivityName[] };

/** Tests that all servers and the apiserver may be killed at once in each of these activities, in order. */
export function goesOnWithout({ stages, undo }: Steps): void {
  describe(`${away.join(', ')} killed at once and started again on Kubernetes, one activity after the other`, () => {
    const dock = Drydock.here();

    test(`in ${undo.join(', ')}: all of a deployment is taken back`, async () => {
      const { harbour, model, worker } = dock;
      const request = await harbour.newer(model, { greeting: 'Bye' });
      const objects = await harbour.objects(model);
      await worker.change({ holdBefore: ['shift', ...undo] });
      const handle = await harbour.yard.deploy(request);
      await worker.held('shift');
      const by = { by: 'test', reason: 'to be undone' };
      await handle.executeUpdate('abort', { args: [by] });
      for (const [index, activity] of undo.entries()) {
        await worker.held(activity);
        await allAway(worker, activity);
        if (!undo.includes(activity, index + 1)) await worker.release(activity);
      }
      assert.equal((await harbour.yard.failure(handle)).type, 'Aborted');
      const { undo: steps } = await harbour.yard.status(handle);
      assert.ok(
        steps.every(({ state }) => state === 'undone'),
        JSON.stringify(steps),
      );
      const answer = await until(() => harbour.yard.predict(model, 'Ada').catch(() => null));
      assert.equal(answer, 'Hello, Ada!');
      await harbour.yard.untilFree(model);
      assert.deepEqual(await harbour.objects(model), objects);
      await harbour.yard.assertNothingLeft(120_000);
    });

    test(`in ${stages.join(', ')}: the deployment goes on by itself`, async () => {
      const { harbour, model, worker } = dock;
      const [first] = stages;
      const request = await harbour.newer(model, { greeting: 'Bye' });
      await worker.change({ holdBefore: [first!] });
      const handle = await harbour.yard.deploy(request);
      await worker.held(first!);
      // Only now: the release before may have been tidied up after meanwhile.
      await worker.change({ holdBefore: stages });
      for (const activity of stages) {
        await worker.held(activity);
        await allAway(worker, activity);
      }
      await handle.result();
      // Whose addresses the node leads to it learns from an apiserver that has just come back.
      const answer = await until(() => harbour.yard.predict(model, 'Ada').catch(() => null));
      assert.equal(answer, 'Bye, Ada!');
      // The cluster's garbage collector, too, takes up to a minute to find its apiserver again.
      await harbour.yard.assertNothingLeft(120_000);
    });
  });
}
