import { WorkflowNotFoundError, type WorkflowExecutionInfo } from '@temporalio/client';
import pLimit from 'p-limit';
import type { DeploymentSummary } from '../../contract/api.js';
import {
  deployWorkflow,
  statusQuery,
  type AbortAnswer,
  type Decision,
  type DeploymentStatus,
  type DeploymentUpdate,
} from '../../contract/deployment.js';
import { SlipwayError } from '../../contract/errors.js';
import type { Catalog } from '../../platform/catalog/index.js';
import type { ApiContext } from '../context.js';
import { startDeployment } from '../deployments.js';
import { describeDeployment, isOpen, outline } from '../describe.js';
import type { Handlers } from '../register.js';
import { readStatus } from '../status.js';

type Names = 'deploy' | 'listDeployments' | 'getDeployment' | DeploymentUpdate | 'cancel';
type Steering = {
  params: { id: string };
  query: { run?: string | undefined };
  body: Decision;
};

/** Longest a worker may take to tell the state of one deployment of a list. */
const glanceBudget = 2_000;
/** Longest a worker may take to accept an update. */
const updateBudget = 15_000;
/** Clocks of workers and of Temporal may differ by so many milliseconds. */
const skew = 60_000;

/** Deployments: start, look, steer. */
export const deploymentHandlers = (context: ApiContext): Pick<Handlers, Names> => {
  const { temporal } = context;
  const update = (name: DeploymentUpdate) => async (steering: Steering) => {
    await sendUpdate(context, name, steering);
    return {};
  };
  return {
    deploy: ({ body, query: { id } }) => startDeployment(context, body, id),

    listDeployments: async ({ query: { service, model, limit } }) => {
      const { catalog } = await context.platform();
      const live = await liveReleases(catalog);
      // Names are validated: they cannot end the quotes.
      const query = [
        `WorkflowType="${deployWorkflow}"`,
        ...(service ? [`SlipwayService="${service}"`] : []),
        ...(model ? [`SlipwayModel="${model}"`] : []),
      ].join(' AND ');
      const found = await temporal(async ({ workflow }) => {
        const infos: WorkflowExecutionInfo[] = [];
        for await (const info of workflow.list({ query, pageSize: limit }))
          if (infos.push(info) === limit) break;
        return infos;
      });
      const few = pLimit(10);
      return await Promise.all(
        found
          .map((info) => ({ info, isLive: claimLive(live, info) }))
          .map(({ info, isLive }) => few(() => summary(context, info, isLive))),
      );
    },

    getDeployment: ({ params: { id }, query: { run } }) => readStatus(context, id, run),
    approve: update('approve'),
    reject: update('reject'),
    pause: update('pause'),
    resume: update('resume'),
    skip: update('skip'),

    abort: async (steering) => {
      const answer = await abort(context, steering);
      const { by, reason } = steering.body;
      context.logger.info({ deployment: steering.params.id, by, reason, ...answer }, 'abort');
      return answer;
    },

    cancel: async ({ params: { id }, query: { run }, body }) => {
      const description = await temporal((client) => describeDeployment(client, id, run));
      if (!isOpen(description)) return { requested: false };
      await temporal(({ workflow }) => workflow.getHandle(id, description.runId).cancel());
      context.logger.info({ deployment: id, run: description.runId, ...body }, 'cancellation requested');
      return { requested: true };
    },
  };
};

async function sendUpdate(
  { temporal }: ApiContext,
  name: DeploymentUpdate,
  { params: { id }, query: { run }, body }: Steering,
): Promise<void> {
  const description = await temporal((client) => describeDeployment(client, id, run));
  const over = (cause?: unknown): SlipwayError =>
    new SlipwayError('Conflict', `cannot ${name} "${id}": the deployment has ended`, {}, { cause });
  if (!isOpen(description)) throw over();
  try {
    await temporal(
      ({ workflow }) => workflow.getHandle(id, description.runId).executeUpdate(name, { args: [body] }),
      updateBudget,
    );
  } catch (error) {
    // It ended between the two calls.
    throw error instanceof WorkflowNotFoundError ? over(error) : error;
  }
}

/** Aborting what has ended, also between two calls, is no mistake. */
async function abort({ temporal }: ApiContext, { params: { id }, query: { run }, body }: Steering) {
  const look = () => temporal((client) => describeDeployment(client, id, run));
  const description = await look();
  if (!isOpen(description)) return { requested: false, state: outline(description).state };
  const { runId } = description;
  try {
    return await temporal(
      ({ workflow }) =>
        workflow.getHandle(id, runId).executeUpdate<AbortAnswer, [Decision]>('abort', { args: [body] }),
      updateBudget,
    );
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    return { requested: false, state: outline(await look()).state };
  }
}

/** When the live release of each service was made, by the deployment that made it. */
async function liveReleases(catalog: Catalog): Promise<Map<string, number>> {
  const records = await catalog.listServices();
  const releases = await Promise.all(
    records.map(async ({ live }) => (live ? await catalog.getRelease(live) : null)),
  );
  return new Map(
    releases.flatMap((release) =>
      release ? [[release.deployment, Date.parse(release.createdAt)] as const] : [],
    ),
  );
}

/** Of several runs of one workflow id, the newest that had begun when the release was made is the one that made it. */
function claimLive(live: Map<string, number>, { workflowId, startTime }: WorkflowExecutionInfo): boolean {
  const made = live.get(workflowId);
  if (made === undefined || startTime.getTime() > made + skew) return false;
  return live.delete(workflowId);
}

/** Temporal's lists do not tell a deployment that waits for approval from one that builds: it is asked. */
async function summary(
  { temporal }: ApiContext,
  info: WorkflowExecutionInfo,
  live: boolean,
): Promise<DeploymentSummary> {
  const known = outline(info);
  if (!isOpen(info)) return { ...known, live };
  const { workflowId, runId } = info;
  const told = await temporal(
    ({ workflow }) => workflow.getHandle(workflowId, runId).query<DeploymentStatus>(statusQuery),
    glanceBudget,
  ).catch(() => null);
  return { ...known, ...(told ? { state: told.state, stage: told.stage } : {}), live };
}
