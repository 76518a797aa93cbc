import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { V1Deployment } from '@kubernetes/client-node';
import type { DeployRequest } from '../../contract/deploy.js';
import { FaultWorker } from '../support/faults.js';
import { Harbour } from '../support/harbour.js';
import { until } from '../support/until.js';
import { Wire } from '../support/wire.js';
import { blueGreen, rolling } from './strategies.js';

/** What is held before it acts, each in a service of its own; with the strategy that comes there soonest. */
const held = [
  { activity: 'rollout', plan: rolling },
  { activity: 'roll', plan: rolling },
  { activity: 'promote', plan: blueGreen },
  { activity: 'shift', plan: blueGreen },
] as const;
const verify = { samples: [{ input: 'Ada', expect: 'Bye, Ada!' }] };

/**
 * A worker whose line to Temporal is cut lives on and still reaches the cluster and the catalog. All services at once:
 * it takes some 20 s until another worker is given what it was doing.
 */
describe('a worker presumed dead that still runs its attempts on Kubernetes', () => {
  let harbour: Harbour;
  let wire: Wire;
  before(async () => {
    harbour = await Harbour.open({ worker: false });
    wire = await Wire.to(new URL(`tcp://${harbour.cluster.stack.temporal.address}`));
  });
  after(async () => {
    await wire.close();
    await harbour.close();
  });

  /** Little enough for all of them on a small machine. */
  const request = (model: string, changes: Omit<DeployRequest, 'model'> = {}): DeployRequest =>
    harbour.request(model, { resources: { cpu: 0.05, memory: '96Mi' }, ...changes });

  /** A service that says Hello, with newer weights that say Bye. */
  async function serving(delayMs = 0): Promise<string> {
    const model = await harbour.model();
    await harbour.yard.ship(request(model));
    await harbour.retrain(model, { greeting: 'Bye', delayMs });
    return model;
  }

  /** Waits until a service's newer workload has been given all its replicas: one is ready, the other loads. */
  const untilRolling = (model: string): Promise<true> =>
    until(async () => {
      const label = `slipway.dev/service=${model}`;
      const found = await harbour.kubectl('get', 'deployments', '-l', label, '-o', 'json');
      const { items } = JSON.parse(found) as { items: V1Deployment[] };
      const newer = items.find(({ metadata }) => !metadata?.name?.endsWith('--r1'));
      return newer?.spec?.replicas === 2 && newer.status?.readyReplicas === 1 ? true : null;
    });

  test('the late effects do not win, whichever activity it is in', async () => {
    const late = await FaultWorker.start({}, { temporal: wire.address });
    let worker: FaultWorker | null = null;
    try {
      const models = await Promise.all(held.map(() => serving()));
      const inTheMiddle = await serving(5_000);
      const all = [...models, inTheMiddle];
      const before = await Promise.all(all.map((model) => harbour.objects(model)));
      const deployments = [];
      for (const [index, { activity, plan }] of held.entries()) {
        await late.change({ holdBefore: [activity] });
        const { strategy } = plan;
        deployments.push(await harbour.yard.deploy(request(models[index]!, { strategy, verify })));
        await late.held(activity);
      }
      await late.change({});
      deployments.push(await harbour.yard.deploy(request(inTheMiddle, { verify })));
      await untilRolling(inTheMiddle);
      wire.refuse(true);
      wire.cut();
      // From here on, what is in the middle of replacing replicas goes on with it.
      worker = await FaultWorker.start();
      await Promise.all(deployments.map((handle) => handle.terminate('the worker is presumed dead')));
      await Promise.all(all.map((model) => harbour.yard.untilFree(model)));
      await late.release();
      await until(async () => ((await allRefused(late)) ? true : null));
      await delay(2_000);
      for (const [index, model] of all.entries()) {
        assert.equal(await harbour.yard.predict(model, 'Ada'), 'Hello, Ada!');
        assert.deepEqual(await harbour.objects(model), before[index]);
      }
      await harbour.yard.assertNothingLeft();

      const { release } = await harbour.yard.ship(request(inTheMiddle, { verify }));
      await harbour.assertOnly(inTheMiddle, release, 2);
      await harbour.yard.assertNothingLeft();
    } finally {
      await late.end('SIGKILL');
      await worker?.end('SIGTERM');
    }
  });
});

/** Whether the worker has gone on with everything that was held, and was refused. */
async function allRefused(worker: FaultWorker): Promise<boolean> {
  const failed = await worker.failed();
  return held.every(({ activity }) =>
    failed.some((line) => line.startsWith(`${activity}: `) && line.includes('fenced')),
  );
}
