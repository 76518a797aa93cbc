import { mkdir, rm, writeFile } from 'node:fs/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { serviceWorkflowId } from '../../contract/service.js';
import { lastingly } from '../support/memory-world.js';
import { localTemporal } from '../support/temporal.js';
import { Laboratory, until, type Deployment } from '../support/workflows.js';
import { historiesFolder } from './histories.js';

/**
 * Records the histories that the replay test plays: `npm run histories`. Record anew only what no deployment
 * can still be running under; otherwise a change must be patched in (`patched` of `@temporalio/workflow`).
 */
const laboratory = await Laboratory.open(localTemporal(), { identity: 'recorder' });
const { world } = laboratory;
const recorded: [string, Pick<WorkflowHandle, 'fetchHistory'>][] = [];

/** A service whose release 1 is live, with a new source and new weights. */
async function changedService(): Promise<string> {
  const service = await laboratory.liveService();
  world.upload(service, 'source');
  return service;
}

const ended = (deployment: Deployment): Promise<unknown> => deployment.result().catch(() => undefined);

async function success(): Promise<void> {
  const deployment = await laboratory.deploy(await changedService());
  await ended(deployment);
  recorded.push(['deployment-succeeded', deployment]);
}

async function undone(): Promise<void> {
  const [deployment] = await laboratory.deployWith(await changedService(), (faults) =>
    faults.fail('verify', lastingly('VerificationFailed')),
  );
  await ended(deployment);
  recorded.push(['deployment-undone', deployment]);
}

async function cancelled(): Promise<void> {
  const [deployment, gate] = await laboratory.deployWith(await changedService(), (faults) =>
    faults.hold('awaitGateways'),
  );
  await gate.reached;
  await deployment.cancel();
  await ended(deployment);
  recorded.push(['deployment-cancelled', deployment]);
}

async function steered(): Promise<void> {
  const [deployment, gate] = await laboratory.deployWith(
    await changedService(),
    (faults) => faults.hold('pushImage'),
    { approval: { required: true } },
  );
  await gate.reached;
  await laboratory.update(deployment, 'pause');
  gate.open();
  await laboratory.statusWhen(deployment, ({ state }) => state === 'awaiting-approval');
  await laboratory.update(deployment, 'approve', { by: 'ann', reason: 'looks good' });
  await laboratory.statusWhen(deployment, ({ state }) => state === 'paused');
  await laboratory.update(deployment, 'resume');
  await ended(deployment);
  recorded.push(['deployment-approved-and-paused', deployment]);
}

/** A step that passes by itself, one that is paused, resumed and skipped, one that waits to be resumed. */
async function canary(): Promise<void> {
  const [deployment, gate] = await laboratory.deployWith(
    await changedService(),
    (faults) => faults.hold('share'),
    {
      strategy: {
        kind: 'canary',
        steps: [
          { weight: 5, for: '50ms' },
          { weight: 25, for: '1h' },
          { weight: 50, pause: true },
        ],
      },
    },
  );
  gate.open();
  const inStep = (step: number, state: string) =>
    laboratory.statusWhen(deployment, (status) => status.canary?.step === step && status.state === state);
  await inStep(2, 'running');
  await laboratory.update(deployment, 'pause');
  await inStep(2, 'paused');
  await laboratory.update(deployment, 'resume');
  await laboratory.update(deployment, 'skip');
  await inStep(3, 'paused');
  await laboratory.update(deployment, 'resume');
  await ended(deployment);
  recorded.push(['deployment-canary', deployment]);
}

async function canaryRefused(): Promise<void> {
  const [deployment] = await laboratory.deployWith(
    await changedService(),
    (faults) => faults.fail('analyse', lastingly('VerificationFailed')),
    { strategy: { kind: 'canary', steps: [{ weight: 5, for: '50ms' }] } },
  );
  await ended(deployment);
  recorded.push(['deployment-canary-refused', deployment]);
}

async function aborted(): Promise<void> {
  const [deployment, gate] = await laboratory.deployWith(await changedService(), (faults) =>
    faults.hold('roll'),
  );
  await gate.reached;
  await laboratory.update(deployment, 'pause');
  await laboratory.statusWhen(deployment, ({ state }) => state === 'paused');
  await laboratory.abort(deployment, { by: 'ann', reason: 'wrong model' });
  await ended(deployment);
  recorded.push(['deployment-aborted-in-a-paused-roll', deployment]);
}

/** What served is kept, gone back to while it is there, and the owner tidies once its time is over. */
async function blueGreen(): Promise<void> {
  const service = await changedService();
  const deployment = await laboratory.deploy(service, { strategy: { kind: 'blueGreen', keep: '8s' } });
  await ended(deployment);
  const back = await laboratory.deploy(service, { rollbackTo: 'previous' });
  await ended(back);
  await ended(await laboratory.deploy(service, { strategy: { kind: 'blueGreen', keep: '2s' } }));
  await until(async () => {
    const containers = [...world.containers.values()].filter((it) => it.service === service);
    return containers.length === 1 ? true : null;
  });
  recorded.push(
    ['deployment-blue-green', deployment],
    ['rollback-to-kept-replicas', back],
    ['owner-of-kept-replicas', laboratory.client.workflow.getHandle(serviceWorkflowId(service))],
  );
}

async function rollback(): Promise<void> {
  const service = await laboratory.liveService();
  await world.serve(service);
  const deployment = await laboratory.deploy(service, { rollbackTo: 'previous' });
  await ended(deployment);
  recorded.push(['rollback-succeeded', deployment]);
}

/** A deployment, one that waits for it, one that supersedes that and is then terminated. */
async function queue(): Promise<void> {
  const service = await changedService();
  const [first, gate] = await laboratory.deployWith(service, (faults) => faults.hold('verify'));
  await gate.reached;
  const [second, secondGate] = await laboratory.deployWith(service, (faults) => faults.hold('rollout'), {
    onConflict: 'wait',
  });
  await laboratory.statusWhen(second, ({ step }) => step.startsWith('waiting for'));
  gate.open();
  await ended(first);
  await secondGate.reached;
  const [third, thirdGate] = await laboratory.deployWith(service, (faults) => faults.hold('rollout'), {
    onConflict: 'supersede',
  });
  await ended(second);
  await thirdGate.reached;
  await third.terminate();
  await laboratory.settled(service);
  recorded.push(
    ['deployment-waited-then-superseded', second],
    ['owner-of-lost-holder', laboratory.client.workflow.getHandle(serviceWorkflowId(service))],
  );
}

/** Machine, process and stack of the recorder say nothing about the workflow. */
const withoutTraces = (key: string, value: unknown): unknown =>
  ['identity', 'stackTrace', 'encodedAttributes'].includes(key) ? '' : value;

try {
  const stories = [
    ...[success, undone, cancelled, steered, rollback, queue],
    ...[canary, canaryRefused, aborted, blueGreen],
  ];
  for (const story of stories) await story();
  await rm(historiesFolder, { recursive: true, force: true });
  await mkdir(historiesFolder);
  for (const [name, handle] of recorded) {
    const history = JSON.parse(historyToJSON(await handle.fetchHistory())) as unknown;
    await writeFile(`${historiesFolder}${name}.json`, `${JSON.stringify(history, withoutTraces, 1)}\n`);
    console.log(`recorded ${name}`);
  }
} finally {
  await laboratory.close();
}
