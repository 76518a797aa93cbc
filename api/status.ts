import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import {
  decodeOptionalFailureToOptionalError,
  decodeOptionalSinglePayload,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import { statusQuery, type DeploymentStatus } from '../contract/deployment.js';
import { Progress } from '../contract/pipeline.js';
import { Undecipherable } from '../platform/temporal-encryption.js';
import type { ApiContext } from './context.js';
import { describeDeployment, isOpen, outline } from './describe.js';
import { howItEnded } from './outcome.js';

/** Longest a worker may take to answer the query; there may be none. */
const queryBudget = 5_000;

/**
 * A deployment's status as its workflow tells it, with what only the server knows: the running activity's
 * heartbeat, its attempt and why the last one failed; and that a workflow was terminated, which it cannot tell.
 * Where no worker answers it is what Temporal knows, and says so.
 */
export async function readStatus(
  { temporal }: ApiContext,
  id: string,
  run?: string,
): Promise<DeploymentStatus> {
  const description = await temporal((client) => describeDeployment(client, id, run));
  const { runId } = description;
  const told = await temporal(
    (client) => client.workflow.getHandle(id, runId).query<DeploymentStatus>(statusQuery),
    queryBudget,
  ).catch((error: unknown) => {
    // A worker has answered.
    if (error instanceof Undecipherable) throw error;
    return null;
  });
  const status = told ?? knownToServer(description);
  if (isOpen(description))
    return {
      ...status,
      ...(await temporal((client) => runningActivity(client, description, status))),
    };
  const { state, endedAt } = outline(description);
  if (told && state !== 'terminated') return told;
  return {
    ...status,
    state,
    step: '',
    // Whatever ran when a workflow was terminated runs no more.
    stages: status.stages.map((stage) => (stage.state === 'running' ? { ...stage, state: 'failed' } : stage)),
    ...(endedAt ? { endedAt } : {}),
    ...(await temporal((client) => howItEnded(client, description))),
  };
}

/** Without a worker the stages are not known, but for the one that was entered last. */
function knownToServer(description: WorkflowExecutionDescription): DeploymentStatus {
  const known = outline(description);
  const { stage, state } = known;
  return {
    ...known,
    step: 'no worker answers: this is what Temporal knows; see "slipway doctor"',
    stages: stage ? [{ name: stage, state: state === 'succeeded' ? 'done' : 'running' }] : [],
    undo: [],
  };
}

async function runningActivity(
  { options: { loadedDataConverter } }: Client,
  { raw }: WorkflowExecutionDescription,
  { stages }: DeploymentStatus,
): Promise<Pick<DeploymentStatus, 'progress' | 'attempt'>> {
  const pending = raw.pendingActivities?.[0];
  // Described before it was queried: the stage may have moved on meanwhile.
  const since = stages.find(({ state }) => state === 'running')?.startedAt;
  if (!pending || (since && scheduledAt(pending) < Date.parse(since))) return {};
  const details = pending.heartbeatDetails?.payloads?.[0];
  const progress = Progress.safeParse(await decodeOptionalSinglePayload(loadedDataConverter, details));
  const last = await decodeOptionalFailureToOptionalError(loadedDataConverter, pending.lastFailure);
  return {
    ...(progress.success && progress.data.message !== '' ? { progress: progress.data } : {}),
    attempt: { number: pending.attempt ?? 1, ...(last?.message ? { lastError: last.message } : {}) },
  };
}

/** Milliseconds since 1970. */
function scheduledAt({ scheduledTime }: { scheduledTime?: PendingTime }): number {
  return Number(scheduledTime?.seconds ?? 0) * 1000 + Math.floor((scheduledTime?.nanos ?? 0) / 1e6);
}
type PendingTime = { seconds?: unknown; nanos?: number | null } | null | undefined;
