import { Context } from '@temporalio/activity';
import { Client, WorkflowFailedError, type WorkflowHandleWithStartDetails } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker, type WorkerOptions } from '@temporalio/worker';
import type { DeployRequest } from '../../contract/deploy.js';
import {
  deployWorkflow,
  DeploymentStatus,
  type AbortAnswer,
  statusQuery,
  defaultTaskQueue as taskQueue,
  type DeploymentUpdate,
} from '../../contract/deployment.js';
import { serviceStateQuery, serviceWorkflowId, type ServiceState } from '../../contract/service.js';
import { workflowBundle } from '../../workers/workflow-bundle.js';
import type { deployModel } from '../../workflows/index.js';
import { Faults, type ActivityName } from './faults-in-memory.js';
import { memoryActivities } from './memory-activities.js';
import { MemoryWorld } from './memory-world.js';
import './quiet-temporal.js';
import { until } from './until.js';

export { until };

export type Deployment = WorkflowHandleWithStartDetails<typeof deployModel>;
/** One run of an activity: when it began and ended, in the order of all events, and what its act threw. */
export type Call = {
  workflowId: string;
  activity: ActivityName;
  began: number;
  ended?: number;
  error?: unknown;
};

/**
 * The real workflows on a Temporal server, over a world in memory, with faults to order. Every test takes a
 * service of its own, so that tests can run side by side.
 */
export class Laboratory {
  readonly world = new MemoryWorld();
  readonly calls: Call[] = [];
  /** Names of all activities there are. */
  readonly activities: ActivityName[];
  private readonly workers: Worker[] = [];
  private readonly ownerless = new Map<string, number>();
  private readonly ordered = new Map<string, Faults>();
  private readonly running: Promise<void>[] = [];
  private events = 0;
  private names = 0;

  private constructor(readonly environment: TestWorkflowEnvironment) {
    // Not the environment's client: of the time-skipping server it lets time fly while it awaits a result.
    const client = new Client({ connection: environment.connection });
    const activities = memoryActivities(this.world, client);
    const { requestGrant } = activities;
    activities.requestGrant = async (service, request) => {
      const refusals = this.ownerless.get(service);
      if (refusals === undefined) return await requestGrant(service, request);
      this.ownerless.set(service, refusals - 1);
      if (refusals > 0) return { kind: 'queued', holder: { workflowId: 'another', runId: 'one' } };
      return { kind: 'granted', token: await this.world.catalog.openGrant(service, request.deployment, 0) };
    };
    this.activities = Object.keys(activities) as ActivityName[];
    this.wrapped = Object.fromEntries(
      Object.entries(activities).map(([name, activity]) => [
        name,
        (...args: unknown[]) => this.run(name as ActivityName, activity as Activity, args),
      ]),
    );
  }

  private readonly wrapped: Record<string, Activity>;

  static async open(
    environment: Promise<TestWorkflowEnvironment>,
    options: Partial<WorkerOptions> = {},
  ): Promise<Laboratory> {
    const laboratory = new Laboratory(await environment);
    await laboratory.addWorker(options);
    return laboratory;
  }

  /** A further worker over the same world. */
  async addWorker(options: Partial<WorkerOptions> = {}): Promise<void> {
    const worker = await Worker.create({
      connection: this.environment.nativeConnection,
      taskQueue,
      workflowBundle: await workflowBundle(),
      activities: this.wrapped,
      // Cancellations come with heartbeats, and heartbeats are throttled: not here.
      maxHeartbeatThrottleInterval: '50ms',
      maxConcurrentActivityTaskExecutions: 500,
      workflowThreadPoolSize: 2,
      // An activity that a failed test still holds must not keep the process.
      shutdownForceTime: '5s',
      ...options,
    });
    this.workers.push(worker);
    this.running.push(worker.run());
  }

  async close(): Promise<void> {
    for (const worker of this.workers) worker.shutdown();
    try {
      await Promise.all(this.running);
    } finally {
      await this.environment.teardown();
    }
  }

  get client(): Client {
    return this.environment.client;
  }

  /** A service that nobody else uses. */
  service(): string {
    this.names += 1;
    return `model-${this.names}`;
  }

  async deploy(service: string, request: Partial<DeployRequest> = {}): Promise<Deployment> {
    return await this.start({ model: service, ...request });
  }

  /** Starts `deployModel` with any input, under an id of the test's choice or one of its own. */
  async start(input: unknown, workflowId?: string): Promise<Deployment> {
    this.names += 1;
    return await this.client.workflow.start<typeof deployModel>(deployWorkflow, {
      workflowId: workflowId ?? `deployment-${this.names}`,
      taskQueue,
      args: [input],
      // The time-skipping server would end it after a day.
      workflowExecutionTimeout: '30d',
    });
  }

  /** Starts a deployment whose faults are ordered before it begins; `order` may answer a gate to wait at. */
  async deployWith<T>(
    service: string,
    order: (faults: Faults) => T,
    request: Partial<DeployRequest> = {},
  ): Promise<[Deployment, T]> {
    this.names += 1;
    const workflowId = `deployment-${this.names}`;
    const ordered = order(this.faultsOf(workflowId));
    return [await this.start({ model: service, ...request }, workflowId), ordered];
  }

  /** Faults of a workflow: a deployment's, or those of a service's owner. */
  faultsOf(workflowId: string): Faults {
    const faults = this.ordered.get(workflowId) ?? new Faults();
    this.ordered.set(workflowId, faults);
    return faults;
  }

  /**
   * A service whose deployments are granted by no owner: at once, or when they have asked and been put in a
   * queue so many times. An owner has an activity that waits for a holder's end, and the time-skipping server
   * skips no time while an activity runs.
   */
  serviceWithoutOwner(refusals = 0): string {
    const service = this.service();
    this.ownerless.set(service, refusals);
    return service;
  }

  /** A service that serves its release 1, and new weights uploaded since. */
  async liveService(service = this.service()): Promise<string> {
    await this.world.serve(service);
    this.world.upload(service, 'weights');
    return service;
  }

  /** The status as anyone sees it, checked against the contract. */
  async status(deployment: { workflowId: string; query: Deployment['query'] }): Promise<DeploymentStatus> {
    return DeploymentStatus.parse(await deployment.query<unknown, []>(statusQuery));
  }

  async statusWhen(
    deployment: Deployment,
    is: (status: DeploymentStatus) => boolean,
  ): Promise<DeploymentStatus> {
    return await until(async () => {
      const status = await this.status(deployment);
      return is(status) ? status : null;
    });
  }

  async update(
    deployment: Deployment,
    name: Exclude<DeploymentUpdate, 'abort'>,
    decision: unknown = {},
  ): Promise<void> {
    await deployment.executeUpdate<void, [unknown]>(name, { args: [decision] });
  }

  async abort(deployment: Deployment, decision: unknown = {}): Promise<AbortAnswer> {
    return await deployment.executeUpdate<AbortAnswer, [unknown]>('abort', { args: [decision] });
  }

  async serviceState(service: string): Promise<ServiceState> {
    const owner = this.client.workflow.getHandle(serviceWorkflowId(service));
    return await owner.query<ServiceState, []>(serviceStateQuery);
  }

  /** Waits until the owner has seen to the last holder, and nobody waits. */
  async settled(service: string): Promise<void> {
    await until(async () => {
      const { holder, waiting } = await this.serviceState(service);
      return holder === null && waiting.length === 0 ? true : null;
    });
  }

  /** Activities that a workflow ran, in the order they began; an activity's retries count once. */
  activitiesOf(workflowId: string): ActivityName[] {
    return this.calls.filter((call) => call.workflowId === workflowId).map(({ activity }) => activity);
  }

  private async run(activity: ActivityName, act: Activity, args: unknown[]): Promise<unknown> {
    const { workflowExecution, attempt } = Context.current().info;
    const { workflowId } = workflowExecution!;
    const call: Call = { workflowId, activity, began: (this.events += 1) };
    if (attempt === 1) this.calls.push(call);
    const faults = this.faultsOf(workflowId);
    await faults.strike(activity, 'before');
    const result = await act(...args).catch((error: unknown) => {
      call.error = error;
      throw error;
    });
    await faults.strike(activity, 'after');
    if (faults.losesReply(activity)) throw lostReply();
    call.ended = this.events += 1;
    return result;
  }
}

/** Tried again at once: tests need not wait for what the retry policy would have them wait. */
const lostReply = (): ApplicationFailure =>
  ApplicationFailure.create({ message: 'the reply was lost', nextRetryDelay: '1ms' });

type Activity = (...args: unknown[]) => Promise<unknown>;

/** How a workflow failed: the `ApplicationFailure`'s type, message and details. Throws if it did not. */
export async function failureOf(deployment: Deployment): Promise<{
  type: string;
  message: string;
  nonRetryable: boolean;
  details: Record<string, unknown>;
}> {
  const cause = await endOf(deployment);
  if (!(cause instanceof ApplicationFailure)) throw new Error('it did not fail', { cause });
  const details = (cause.details?.[0] ?? {}) as Record<string, unknown>;
  return {
    type: cause.type ?? '',
    message: cause.message,
    nonRetryable: cause.nonRetryable ?? false,
    details,
  };
}

/** Whether a workflow ended cancelled. */
export async function endedCancelled(deployment: Deployment): Promise<boolean> {
  return (await endOf(deployment)) instanceof CancelledFailure;
}

async function endOf(deployment: Deployment): Promise<unknown> {
  try {
    await deployment.result();
  } catch (error) {
    if (error instanceof WorkflowFailedError) return error.cause;
    throw error;
  }
  throw new Error('it succeeded');
}
