import { ApplicationFailure, condition } from '@temporalio/workflow';
import type { DeployInput } from '../contract/deploy.js';
import type { DeploymentRef } from '../contract/pipeline.js';
import * as activities from './activities.js';
import type { Steering } from './steering.js';

/**
 * Asks the service's owner for the right to change it, and waits for its turn where the input says so. Answers the
 * fencing token; throws `Conflict` naming who holds the service.
 */
export async function askForGrant(
  { service, onConflict }: DeployInput & { service: string },
  deployment: DeploymentRef,
  steering: Steering,
  tell: (step: string) => void,
): Promise<number> {
  while (steering.token === null) {
    const answer = await activities.requestGrant(service, { deployment, onConflict });
    if (answer.kind === 'conflict')
      throw ApplicationFailure.nonRetryable(
        `service "${service}" is being changed by deployment "${answer.holder.workflowId}"; wait for it, or start again with onConflict "wait" or "supersede"`,
        'Conflict',
        { holder: answer.holder },
      );
    if (answer.kind === 'granted') return answer.token;
    tell(`waiting for deployment "${answer.holder.workflowId}"`);
    // The queue is the owner's memory. Should its history be lost, asking again gets in line anew.
    await condition(() => steering.token !== null, '5m');
  }
  return steering.token;
}
