import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { killPart } from '../support/cluster.js';
import { FaultWorker, type ActivityName } from '../support/faults.js';
import { Harbour } from '../support/harbour.js';
import { killComponent, repair } from '../support/stack.js';

/** Activities in which the cluster, or the catalog for it, is changed. */
const stages = ['rollout', 'verify', 'roll', 'promote', 'shift', 'awaitGateways', 'tidy'] as const;

const faults = {
  temporal: () => killComponent('temporal', 'SIGKILL'),
  postgres: () => killComponent('postgres', 'SIGKILL'),
  registry: () => killComponent('registry', 'SIGKILL'),
  apiserver: () => killPart('apiserver', 'SIGKILL'),
} satisfies Record<string, () => Promise<void>>;

describe('a server killed and started again in every stage of a rollout on Kubernetes', () => {
  let harbour: Harbour;
  before(async () => {
    harbour = await Harbour.open();
    await killComponent('worker', 'SIGTERM');
  });
  after(async () => {
    await repair();
    await harbour.close();
  });

  for (const [server, kill] of Object.entries(faults))
    test(`${server}: the deployment goes on by itself`, async () => {
      const first = await FaultWorker.start();
      const model = await harbour.serving();
      await first.end('SIGTERM');
      await harbour.retrain(model, { greeting: 'Bye' });
      const worker = await FaultWorker.start({ holdBefore: stages satisfies readonly ActivityName[] });
      try {
        const verify = { samples: [{ input: 'Ada', expect: 'Bye, Ada!' }] };
        const handle = await harbour.yard.deploy(harbour.request(model, { verify }));
        for (const activity of stages) {
          await worker.held(activity);
          await kill();
          // The stage meets the server away, and has to try again once it is back.
          await worker.release(activity);
          await repair({ except: ['worker'] });
        }
        await handle.result();
        assert.equal(await harbour.yard.predict(model, 'Ada'), 'Bye, Ada!');
        await harbour.yard.assertNothingLeft();
      } finally {
        await worker.release();
        await worker.end('SIGTERM');
      }
    });
});
