import { randomBytes } from 'node:crypto';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common';
import { deployWorkflow } from '../contract/deployment.js';
import type { DeployRequest } from '../contract/deploy.js';
import { SlipwayError } from '../contract/errors.js';
import type { DeploymentRef } from '../contract/pipeline.js';
import type { ApiContext } from './context.js';
import { describeDeployment, outline } from './describe.js';

const attribute = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);

/**
 * Starts a deployment. With an id of the caller's, asking again answers the one that runs; throws `Conflict` when
 * a deployment of that id has ended, or is of another model or service.
 */
export async function startDeployment(
  context: ApiContext,
  input: DeployRequest,
  id?: string,
): Promise<DeploymentRef> {
  const { model, service = model } = input;
  const workflowId = id ?? `deploy/${service}/${randomBytes(4).toString('hex')}`;
  let runId: string;
  try {
    const handle = await context.temporal(({ workflow }) =>
      workflow.start(deployWorkflow, {
        taskQueue: context.stack.temporal.taskQueue,
        workflowId,
        args: [input],
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        workflowIdConflictPolicy: 'USE_EXISTING',
        typedSearchAttributes: new TypedSearchAttributes([
          { key: attribute('SlipwayModel'), value: model },
          { key: attribute('SlipwayService'), value: service },
        ]),
        staticSummary: input.rollbackTo
          ? `${service}: back to ${input.rollbackTo}`
          : `${service}: deploy ${model}`,
      }),
    );
    runId = handle.firstExecutionRunId;
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    throw new SlipwayError('Conflict', `a deployment "${workflowId}" has run already; choose another id`);
  }
  if (id !== undefined) await refuseStranger(context, { workflowId, runId }, { model, service });
  return { workflowId, runId };
}

/** An id may be in use by something else than what was asked for. */
async function refuseStranger(
  { temporal }: ApiContext,
  { workflowId, runId }: DeploymentRef,
  wanted: { model: string; service: string },
): Promise<void> {
  const running = await temporal((client) => describeDeployment(client, workflowId, runId)).catch(
    (error: unknown) => {
      if (!(error instanceof SlipwayError)) throw error;
      throw new SlipwayError('Conflict', `${error.message}; choose another id`, {}, { cause: error });
    },
  );
  const { model, service } = outline(running);
  if (model !== wanted.model || service !== wanted.service)
    throw new SlipwayError(
      'Conflict',
      `"${workflowId}" is a running deployment of model "${model}" as service "${service}"; choose another id`,
    );
}
