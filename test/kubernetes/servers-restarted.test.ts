import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { killPart } from '../support/cluster.js';
import type { ActivityName } from '../support/faults.js';
import { killComponent, repair } from '../support/stack.js';
import { Drydock } from './drydock.js';

/** Activities in which the cluster, or the catalog for it, is changed. */
const stages = ['rollout', 'verify', 'roll', 'promote', 'shift', 'awaitGateways', 'tidy'] as const;

const servers = ['temporal', 'postgres', 'registry'] as const;

describe('servers killed and started again in every stage of a rollout on Kubernetes', () => {
  const dock = Drydock.here();

  test(`${servers.join(', ')} and the apiserver at once: the deployment goes on by itself`, async () => {
    const { harbour, model, worker } = dock;
    const request = await harbour.newer(model, { greeting: 'Bye' });
    await worker.change({ holdBefore: stages satisfies readonly ActivityName[] });
    const handle = await harbour.yard.deploy(request);
    for (const activity of stages) {
      await worker.held(activity);
      await Promise.all([
        ...servers.map((server) => killComponent(server, 'SIGKILL')),
        killPart('apiserver', 'SIGKILL'),
      ]);
      // The stage meets the servers away, and has to try again once they are back.
      await worker.release(activity);
      await repair({ except: ['worker'] });
    }
    await handle.result();
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Bye, Ada!');
    // The cluster's garbage collector, too, takes up to a minute to find its apiserver again.
    await harbour.yard.assertNothingLeft(120_000);
  });
});
