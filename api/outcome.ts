import { WorkflowFailedError, type Client, type WorkflowExecutionDescription } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure, TerminatedFailure, TimeoutFailure } from '@temporalio/common';
import { z } from 'zod';
import { DeployResult, UndoStep, type DeploymentStatus, type Failure } from '../contract/deployment.js';
import { failureTypes, messageOf } from '../contract/errors.js';

const Undone = z.object({ undone: z.array(UndoStep) });
type Ended = Pick<DeploymentStatus, 'failure' | 'release' | 'image' | 'verification'> & {
  undo?: UndoStep[];
};

/** How a closed deployment ended, from its history's last event: that needs no worker. */
export async function howItEnded(
  client: Client,
  { workflowId, runId }: WorkflowExecutionDescription,
): Promise<Ended> {
  try {
    const result: unknown = await client.workflow
      .getHandle(workflowId, runId, { followRuns: false })
      .result();
    const { release, image, verification } = DeployResult.parse(result);
    return { release, image, verification };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const undone = error.cause instanceof ApplicationFailure ? undoneBy(error.cause) : {};
    return { failure: failureOf(error.cause), ...undone };
  }
}

function failureOf(cause: unknown): Failure {
  if (cause instanceof ApplicationFailure) {
    const type = failureTypes.find((known) => known === cause.type) ?? 'Internal';
    const details: unknown = cause.details?.[0];
    return {
      type,
      message: cause.message,
      ...(details && typeof details === 'object' ? { details: details as Record<string, unknown> } : {}),
    };
  }
  if (cause instanceof CancelledFailure)
    return { type: 'Cancelled', message: 'the deployment was cancelled' };
  const undoing = 'the owner of the service takes back what it did';
  if (cause instanceof TerminatedFailure)
    return { type: 'Internal', message: `terminated from outside; ${undoing}` };
  if (cause instanceof TimeoutFailure)
    return { type: 'Internal', message: `ended by a timeout of the workflow's own; ${undoing}` };
  return { type: 'Internal', message: messageOf(cause) };
}

function undoneBy({ details }: ApplicationFailure): { undo?: UndoStep[] } {
  const parsed = Undone.safeParse(details?.[0]);
  return parsed.success ? { undo: parsed.data.undone } : {};
}
