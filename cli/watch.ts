import { setTimeout as delay } from 'node:timers/promises';
import type { ApiClient } from '../api/client.js';
import { ApiFailure } from '../api/failure.js';
import type { DeploymentStatus } from '../contract/deployment.js';
import type { DeploymentRef } from '../contract/pipeline.js';
import { describeEnd } from './end-view.js';
import { interruptedStatus, Told } from './failure.js';
import { note } from './output.js';
import type { View } from './views.js';

/** How long the API may be away before watching is given up; the deployment goes on either way. */
const patience = 60_000;

/** Shows a deployment until it ends. */
export async function watch(client: ApiClient, ref: DeploymentRef, view: View): Promise<DeploymentStatus> {
  try {
    return await leavingItRunning(ref.workflowId, async () => {
      for (;;) {
        const status = await patientStatus(client, ref);
        view.show(status);
        if (hasEnded(status)) return status;
        await delay(view.interval);
      }
    });
  } finally {
    view.done();
  }
}

/** Says how it ended and what serves now; throws {@link Told} unless it succeeded. */
export async function report(
  client: ApiClient,
  status: DeploymentStatus,
  stream: NodeJS.WritableStream,
): Promise<void> {
  for (const line of await endLines(client, status)) stream.write(`${line}\n`);
  if (status.state !== 'succeeded') throw new Told(1);
}

/** How it ended, and beside it what serves now: two facts. */
export async function endLines(client: ApiClient, status: DeploymentStatus): Promise<string[]> {
  const live = await client
    .call('getService', { params: { service: status.service } })
    .then(({ record }) => record.live)
    .catch((error: unknown) => {
      // A service that never came to be has no record; that the catalog is away is told as it is.
      if (error instanceof ApiFailure) return error.type === 'NotFound' ? null : undefined;
      throw error;
    });
  return describeEnd(status, live);
}

export const hasEnded = ({ state }: DeploymentStatus): boolean =>
  ['succeeded', 'failed', 'cancelled', 'terminated'].includes(state);

async function patientStatus(
  client: ApiClient,
  { workflowId, runId }: DeploymentRef,
): Promise<DeploymentStatus> {
  for (const end = Date.now() + patience; ; await delay(500)) {
    try {
      return await client.call('getDeployment', { params: { id: workflowId }, query: { run: runId } });
    } catch (error) {
      const passing = error instanceof ApiFailure && error.type === 'Unavailable';
      if (!passing) throw error;
      if (Date.now() < end) continue;
      for (const line of comeBack(workflowId)) note(line);
      throw error;
    }
  }
}

/** While `act` runs, Ctrl-C ends the watching, not the deployment. */
export async function leavingItRunning<T>(workflowId: string, act: () => Promise<T>): Promise<T> {
  const onInterrupt = (): void => {
    for (const line of comeBack(workflowId)) note(line);
    process.exit(interruptedStatus);
  };
  process.once('SIGINT', onInterrupt);
  try {
    return await act();
  } finally {
    process.removeListener('SIGINT', onInterrupt);
  }
}

const comeBack = (workflowId: string): string[] => [
  '',
  'the deployment goes on by itself',
  `  come back:                  slipway status ${quote(workflowId)} --follow`,
  `  cancel it, with all it did: slipway cancel ${quote(workflowId)}`,
];

const quote = (text: string): string =>
  /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
