import type { Client, WorkflowExecutionDescription, WorkflowExecutionInfo } from '@temporalio/client';
import { deployWorkflow, type DeploymentState } from '../contract/deployment.js';
import { SlipwayError } from '../contract/errors.js';
import { stages, type Stage } from '../contract/pipeline.js';

/**
 * Looks a deployment up, whoever started it. Throws `NotFound` for other workflows: cancelling the owner of a service
 * by its id must not be possible here.
 */
export async function describeDeployment(
  client: Client,
  id: string,
  run?: string,
): Promise<WorkflowExecutionDescription> {
  const description = await client.workflow.getHandle(id, run).describe();
  if (description.type !== deployWorkflow)
    throw new SlipwayError('NotFound', `"${id}" is not a deployment but a "${description.type}"`);
  return description;
}

/** What lists and descriptions of workflows have in common. */
export type Described = Pick<
  WorkflowExecutionInfo,
  'workflowId' | 'runId' | 'status' | 'startTime' | 'searchAttributes'
> & { closeTime?: Date | undefined };

/** Is the deployment still under way? */
export const isOpen = ({ status }: Pick<Described, 'status'>): boolean =>
  status.name === 'RUNNING' || status.name === 'PAUSED';

const outcomes: Record<string, DeploymentState> = {
  COMPLETED: 'succeeded',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  TERMINATED: 'terminated',
  TIMED_OUT: 'terminated',
};

/** What Temporal itself knows of a deployment, also when no worker can be asked. */
export function outline(info: Described) {
  const { workflowId, runId, status, startTime, closeTime, searchAttributes } = info;
  const attribute = (name: string): string => String(searchAttributes[name]?.[0] ?? '');
  const stage = attribute('SlipwayStage');
  return {
    deployment: { workflowId, runId },
    model: attribute('SlipwayModel'),
    service: attribute('SlipwayService'),
    state: outcomes[status.name] ?? ('running' as const),
    stage: stages.includes(stage as Stage) ? (stage as Stage) : null,
    startedAt: startTime.toISOString(),
    ...(closeTime ? { endedAt: closeTime.toISOString() } : {}),
  };
}
