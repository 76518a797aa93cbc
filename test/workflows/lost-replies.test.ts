import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { DeployRequest } from '../../contract/deploy.js';
import { serviceWorkflowId } from '../../contract/service.js';
import type { ActivityName, Faults } from '../support/faults-in-memory.js';
import { lastingly } from '../support/memory-world.js';
import { localTemporal } from '../support/temporal.js';
import { Laboratory } from '../support/workflows.js';

const laboratory = await Laboratory.open(localTemporal());
const lost = new Set<ActivityName>();

after(() => laboratory.close());

type Story = { ends: string; request?: Partial<DeployRequest>; faults?: (faults: Faults) => void };

/** What happens to a service that serves release 1, has a new source, and had a deployment die under it. */
const stories: Record<string, Story> = {
  'a deployment': { ends: 'succeeded' },
  'a deployment that fails when all is done': {
    ends: 'failed',
    faults: (faults) => faults.fail('awaitGateways', lastingly('RolloutFailed')),
  },
  'a canary': {
    ends: 'succeeded',
    request: { strategy: { kind: 'canary', steps: [{ weight: 20, for: '1ms' }] } },
  },
  'a canary that is judged to be bad': {
    ends: 'failed',
    request: { strategy: { kind: 'canary', steps: [{ weight: 20, for: '1ms' }] } },
    faults: (faults) => faults.fail('analyse', lastingly('VerificationFailed')),
  },
  'a deployment that keeps what served': {
    ends: 'succeeded',
    request: { strategy: { kind: 'blueGreen', keep: '1h' } },
  },
  'a rollback': { ends: 'succeeded', request: { rollbackTo: 'previous' } },
};

describe('when the first reply of every activity is lost', { concurrency: 8, timeout: 300_000 }, () => {
  for (const [story, { ends, request, faults }] of Object.entries(stories))
    test(`${story} comes to the same end`, async () => {
      const [undisturbed, disturbed] = await Promise.all(
        [false, true].map((losing) => tell(losing, request ?? {}, faults)),
      );
      assert.equal(undisturbed!.status.state, ends);
      assert.deepEqual(disturbed, undisturbed);
    });
});

test('every activity there is lost a first reply', () => {
  assert.deepEqual([...lost].sort(), [...laboratory.activities].sort());
});

/** Everything of the service, its deployment and its owner at the end, in words that no other service has. */
async function tell(
  losing: boolean,
  request: Partial<DeployRequest>,
  order: (faults: Faults) => void = () => {},
) {
  const service = await laboratory.liveService();
  await laboratory.world.serve(service);
  laboratory.world.upload(service, 'source');
  const ordered = [laboratory.faultsOf(serviceWorkflowId(service))];
  // Another deployment dies first: the owner takes it back, under lost replies too.
  const [dying, gate] = await laboratory.deployWith(service, (faults) => {
    ordered.push(faults);
    if (losing) for (const each of ordered) each.loseFirstReplies();
    return faults.hold('rollout');
  });
  await gate.reached;
  const [deployment] = await laboratory.deployWith(
    service,
    (faults) => {
      ordered.push(faults);
      if (losing) faults.loseFirstReplies();
      order(faults);
    },
    { ...request, onConflict: 'wait' },
  );
  await laboratory.statusWhen(deployment, ({ step }) => step.startsWith('waiting for'));
  await dying.terminate();
  await deployment.result().catch(() => undefined);
  await laboratory.settled(service);
  for (const faults of ordered) for (const activity of faults.lost) lost.add(activity);
  const { state, stages, undo, failure } = await laboratory.status(deployment);
  const end = {
    census: await laboratory.world.census(service),
    journal: laboratory.world.catalog.journal
      .filter((entry) => entry.service === service)
      .map(({ effect, token, state }) => ({ token, state, ...effect })),
    outcomes: laboratory.world.catalog.outcomes
      .filter(({ grant }) => grant.service === service)
      .map(({ grant, outcome }) => [grant.token, outcome]),
    status: { state, failure, undo, stages: stages.map(({ name, state }) => [name, state]) },
  };
  const text = JSON.stringify(end, null, 1)
    .replaceAll(service, 'the service')
    .replaceAll(/"version": \d+/g, '"version": "…"')
    .replaceAll(/(?<=sha256:)[0-9a-f]{64}|(?<=-)[0-9a-f]{12}\b/g, '…');
  return JSON.parse(text) as typeof end;
}
