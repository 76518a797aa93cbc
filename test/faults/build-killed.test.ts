import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import { emptyWheel, packageThatRuns, sleepers, sleepFor, uniqueSeconds } from '../build/sleeper.js';
import type { Shipyard } from '../support/deployments.js';
import { FaultWorker } from '../support/faults.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { until, untilTrue } from '../support/until.js';
import { withoutWorker } from '../support/without-worker.js';
import { killComponent, repair } from '../support/harm.js';

describe('a build that something is killed under', () => {
  let yard: Shipyard;
  withoutWorker((opened) => (yard = opened));

  for (const [fault, kill] of [
    [
      'the worker',
      async (worker: FaultWorker) => {
        await worker.end('SIGKILL');
        return await FaultWorker.start();
      },
    ],
    [
      'the engine',
      async (worker: FaultWorker) => {
        await killComponent('docker', 'SIGKILL');
        await repair({ except: ['worker'] });
        return worker;
      },
    ],
  ] as const)
    test(`${fault} by kill -9: its step ends, it is built again, nothing is left over`, async () => {
      const model = yard.name('build');
      const seconds = uniqueSeconds();
      // Whatever becomes of the test: no sleeper outlives it.
      after(async () => {
        for (const pid of await sleepers(seconds)) process.kill(pid, 'SIGKILL');
      });
      const source = {
        'requirements.txt': './sleeper-1.0.tar.gz\n',
        'sleeper-1.0.tar.gz': await packageThatRuns(sleepFor(seconds) + emptyWheel),
      };
      await yard.put(model, 'source', await greeterSource(source));
      await yard.put(model, 'weights', await greeterWeights({ greeting: model }));
      let worker = await FaultWorker.start();
      try {
        const handle = await yard.deploy({ model });
        const doomed = await building(handle, seconds);
        worker = await kill(worker);
        await untilTrue(async () => !(await sleepers(seconds)).includes(doomed), 60_000);
        // Built again, and by nobody twice at once. Its step goes on when what it waits for has ended.
        const again = await building(handle, seconds);
        process.kill(again, 'SIGKILL');
        await handle.result();
        assert.deepEqual(await yard.predict(model, 'Ada'), `${model}, Ada!`);
        assert.deepEqual(await sleepers(seconds), []);
        await yard.assertNothingLeft();
      } finally {
        await worker.end('SIGTERM');
      }
    });

  /** Waits until the step of the build runs; answers its process. Fails with the deployment. */
  async function building(handle: WorkflowHandle, seconds: string): Promise<number> {
    const ended = handle.result().then(
      () => assert.fail('the deployment ended, and nothing was built'),
      (error: unknown) => Promise.reject(error),
    );
    const running = until(async () => {
      const [pid, ...more] = await sleepers(seconds);
      assert.deepEqual(more, [], 'the same is built several times at once');
      return pid ?? null;
    }, 90_000);
    running.catch(() => undefined);
    return await Promise.race([running, ended]);
  }
});
