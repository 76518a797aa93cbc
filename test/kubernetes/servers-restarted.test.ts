import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ActivityName } from '../support/faults.js';
import { Drydock } from './drydock.js';
import { outageIn, servers } from './outage.js';

/** Activities in which the cluster, or the catalog for it, is changed or asked. */
const stages = [
  'admit',
  'rollout',
  'verify',
  'roll',
  'promote',
  'shift',
  'awaitGateways',
  'closeGrant',
  'tidy',
] as const satisfies readonly ActivityName[];

describe('servers killed and started again in every stage of a rollout on Kubernetes', () => {
  const dock = Drydock.here();

  test(`${servers.join(', ')} and the apiserver at once: the deployment goes on by itself`, async () => {
    const { harbour, model, worker } = dock;
    const request = await harbour.newer(model, { greeting: 'Bye' });
    await worker.change({ holdBefore: [stages[0]] });
    const handle = await harbour.yard.deploy(request);
    await worker.held(stages[0]);
    // Only now: the release before may have been tidied up after meanwhile.
    await worker.change({ holdBefore: stages });
    for (const activity of stages) await outageIn(worker, activity);
    await handle.result();
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Bye, Ada!');
    // The cluster's garbage collector, too, takes up to a minute to find its apiserver again.
    await harbour.yard.assertNothingLeft(120_000);
  });
});
