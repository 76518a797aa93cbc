import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, describe, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import { serviceWorkflowId } from '../../contract/service.js';
import { promote } from '../../workers/promote.js';
import { versioned, workerVersion, type WorkerVersion } from '../../workers/version.js';
import { workflowBundle } from '../../workers/workflow-bundle.js';
import { localTemporal } from '../support/temporal.js';
import { Laboratory, until, type Deployment } from '../support/workflows.js';

const build = (buildId: string): WorkerVersion => ({ deploymentName: 'slipway', buildId });
const [one, two] = [build('one'), build('two')];

// As it is before anybody thinks of versions.
const laboratory = await Laboratory.open(localTemporal());
after(() => laboratory.close());

describe('with Worker Versioning', { timeout: 300_000 }, () => {
  test('running deployments stay on the code that started them while new ones start on the new', async () => {
    const [service, other] = [laboratory.service(), laboratory.service()];
    const [earlier, night] = await laboratory.deployWith(service, (faults) => faults.hold('downloadSource'));
    await night.reached;
    assert.deepEqual(await builds(owner(service)), [undefined]);

    await laboratory.addWorker(versioned(one));
    await promote(laboratory.client, one, 60_000);
    await promote(laboratory.client, one, 0);
    night.open();
    await earlier.result();
    assert.deepEqual(await builds(earlier), [undefined, 'one']);
    const [running, gate] = await laboratory.deployWith(service, (faults) => faults.hold('downloadSource'));
    await gate.reached;

    // The same change, unversioned, fails every deployment that is under way: see test/replay.
    await laboratory.addWorker({ ...versioned(two), workflowBundle: { code: await swapped() } });
    await promote(laboratory.client, two, 60_000);
    const started = await laboratory.deploy(other);
    await started.result();
    gate.open();
    await running.result();

    assert.deepEqual(await builds(running), ['one']);
    assert.deepEqual(downloads(running), ['downloadSource', 'downloadModel']);
    assert.deepEqual(await builds(started), ['two']);
    assert.deepEqual(downloads(started), ['downloadModel', 'downloadSource']);
    // An owner lives as long as its service: from no version over the first to the second.
    await laboratory.settled(service);
    await until(async () => ((await builds(owner(service))).at(-1) === 'two' ? true : null));
    assert.deepEqual(await builds(owner(service)), [undefined, 'one', 'two']);
  });

  test('a version that no worker has is not made the current one, and it is said which', async () => {
    await assert.rejects(
      promote(laboratory.client, build('three'), 0),
      /build "three" of "slipway".*running/,
    );
  });
});

describe('the version of a worker', () => {
  test('is the environment’s, whole or not at all', () => {
    const name = { SLIPWAY_WORKER_DEPLOYMENT: 'slipway' };
    assert.deepEqual(workerVersion({ ...name, SLIPWAY_BUILD_ID: '1.2.3' }), build('1.2.3'));
    assert.equal(workerVersion({}), null);
    assert.throws(() => workerVersion(name), /SLIPWAY_BUILD_ID is not set/);
    assert.throws(() => workerVersion({ SLIPWAY_BUILD_ID: '1' }), /SLIPWAY_WORKER_DEPLOYMENT is not set/);
    assert.throws(
      () => workerVersion({ SLIPWAY_WORKER_DEPLOYMENT: 'a.b', SLIPWAY_BUILD_ID: '1' }),
      /"a\.b" may have neither/,
    );
  });
});

/** Workflow code that downloads in another order. */
const swapped = async (): Promise<string> =>
  (await readFile((await workflowBundle()).codePath, 'utf8')).replaceAll(
    /downloadSource|downloadModel/g,
    (name) => (name === 'downloadSource' ? 'downloadModel' : 'downloadSource'),
  );

const owner = (service: string): WorkflowHandle =>
  laboratory.client.workflow.getHandle(serviceWorkflowId(service));

const downloads = ({ workflowId }: Deployment): string[] =>
  laboratory.activitiesOf(workflowId).filter((name) => name.startsWith('download'));

/** Builds that completed a workflow's tasks, in order, each once in a row. None may have failed one. */
async function builds(workflow: Pick<WorkflowHandle, 'fetchHistory' | 'workflowId'>): Promise<unknown[]> {
  const { events } = await workflow.fetchHistory();
  const failed = events!.find(({ workflowTaskFailedEventAttributes: task }) => task);
  assert.equal(failed, undefined, JSON.stringify(failed));
  return events!
    .flatMap(({ workflowTaskCompletedEventAttributes: task }) =>
      task ? [task.deploymentVersion?.buildId ?? undefined] : [],
    )
    .filter((id, at, all) => at === 0 || id !== all[at - 1]);
}
