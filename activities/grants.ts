import { WithStartWorkflowOperation, WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { JournalEntry } from '../contract/journal.js';
import type { Workflow } from '@temporalio/common';
import type { DeploymentRef, Grant } from '../contract/pipeline.js';
import {
  requestGrantUpdate,
  serviceWorkflow,
  serviceWorkflowId,
  type GrantAnswer,
  type GrantOutcome,
  type GrantRequest,
} from '../contract/service.js';
import type { Platform } from '../platform/open.js';
import { attend } from './attend.js';

/** Grants: who may change a service, and what is written down about it. */
export const grantActivities = ({ catalog, stack }: Platform, temporal: Client) => ({
  /** Asks the service's owner, starting it when this is the first deployment. Asked again, it answers the same. */
  requestGrant: (service: string, request: GrantRequest): Promise<GrantAnswer> =>
    attend(async () => {
      const start = new WithStartWorkflowOperation(serviceWorkflow, {
        workflowId: serviceWorkflowId(service),
        taskQueue: stack.temporal.taskQueue,
        args: [service],
        workflowIdConflictPolicy: 'USE_EXISTING',
        staticSummary: `owner of service ${service}`,
      });
      return await temporal.workflow.executeUpdateWithStart<Workflow, GrantAnswer, [GrantRequest]>(
        requestGrantUpdate,
        {
          startWorkflowOperation: start,
          args: [request],
          updateId: request.deployment.runId,
        },
      );
    }),

  openGrant: (service: string, holder: DeploymentRef, floor: number): Promise<number> =>
    attend(() => catalog.openGrant(service, holder, floor)),

  beginUndo: (grant: Grant): Promise<void> => attend(() => catalog.beginUndo(grant)),

  closeGrant: (grant: Grant, outcome: GrantOutcome): Promise<void> =>
    attend(() => catalog.closeGrant(grant, outcome)),

  openEffects: ({ service, token }: Grant): Promise<JournalEntry[]> =>
    attend(() => catalog.openEffects(service, token)),

  grantIsOpen: (grant: Grant): Promise<boolean> =>
    attend(async () => {
      const record = await catalog.getService(grant.service);
      return (
        record?.token === grant.token &&
        record.holder?.workflowId === grant.deployment.workflowId &&
        record.holder.runId === grant.deployment.runId
      );
    }),

  holderOf: (service: string): Promise<{ deployment: DeploymentRef; token: number } | null> =>
    attend(async () => {
      const record = await catalog.getService(service);
      return record?.holder ? { deployment: record.holder, token: record.token } : null;
    }),

  isRunning: (deployment: DeploymentRef): Promise<boolean> => attend(() => isRunning(temporal, deployment)),

  /** Returns when the workflow has closed, however it did. A workflow whose history is gone has closed. */
  awaitClosed: (deployment: DeploymentRef): Promise<void> =>
    attend(async ({ signal }) => {
      const { workflowId, runId } = deployment;
      const closed = temporal.workflow.getHandle(workflowId, runId, { followRuns: false });
      const result = closed.result().then(
        () => undefined,
        async (error: unknown) => {
          // Failed, cancelled and terminated end it; a server that is away does not.
          if (await isRunning(temporal, deployment)) throw error;
        },
      );
      await Promise.race([result, aborted(signal)]);
    }),
});

async function isRunning(temporal: Client, { workflowId, runId }: DeploymentRef): Promise<boolean> {
  try {
    const { status } = await temporal.workflow.getHandle(workflowId, runId).describe();
    return status.name === 'RUNNING' || status.name === 'PAUSED';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('interrupted')), { once: true });
  });
