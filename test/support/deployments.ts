import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Client,
  Connection,
  WorkflowFailedError,
  type WorkflowHandle,
  type WorkflowHandleWithFirstExecutionRunId,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { Client as Minio } from 'minio';
import { Agent, request } from 'undici';
import type { ArtifactKind } from '../../contract/api.js';
import type { DeployRequest } from '../../contract/deploy.js';
import {
  deployWorkflow,
  statusQuery,
  type DeploymentStatus,
  type DeployResult,
} from '../../contract/deployment.js';
import { serviceStateQuery, serviceWorkflowId, type ServiceState } from '../../contract/service.js';
import type { Stack } from '../../contract/stack.js';
import { census } from '../../platform/census.js';
import { artifactKey } from '../../platform/storage/index.js';
import { greeterSource, greeterWeights, type GreeterWeights } from './models.js';
import { TestInstallation } from './installation.js';
import { testStack } from './stack.js';

/** Closed here long before the gateway does so: on a busy machine, what is sent just then would be lost. */
const connections = new Agent({ keepAliveTimeout: 500, keepAliveMaxTimeout: 500 });

/** Drives deployments the way users without Slipway's own client do: S3, Temporal, HTTP. */
export class Shipyard {
  private constructor(
    readonly stack: Stack,
    /** Null: the stack's own. */
    readonly installation: TestInstallation | null,
    readonly temporal: Client,
    private readonly connection: Connection,
    private readonly s3: Minio,
    /** What was unaccounted for before: another test's to explain. */
    private readonly before: ReadonlySet<string>,
  ) {}

  /** In an installation of the test's own; `worker`: with one that runs from the start. */
  static async open({ worker = true }: { worker?: boolean } = {}): Promise<Shipyard> {
    const installation = await TestInstallation.open();
    try {
      if (worker) await installation.startWorker();
      return await Shipyard.over(installation.stack, installation);
    } catch (error) {
      await installation.close();
      throw error;
    }
  }

  /** In the stack's own installation, whose API, gateway and worker are processes that can be killed. */
  static async onStack(): Promise<Shipyard> {
    return await Shipyard.over(await testStack(), null);
  }

  private static async over(stack: Stack, installation: TestInstallation | null): Promise<Shipyard> {
    const connection = await Connection.connect({ address: stack.temporal.address });
    const temporal = new Client({ connection, namespace: stack.temporal.namespace });
    const { hostname, port } = new URL(stack.s3.endpoint);
    const { accessKey, secretKey } = stack.s3;
    const s3 = new Minio({ endPoint: hostname, port: Number(port), useSSL: false, accessKey, secretKey });
    const before = (await census(stack)).unaccounted.map(({ kind, name }) => `${kind} ${name}`);
    return new Shipyard(stack, installation, temporal, connection, s3, new Set(before));
  }

  async close(): Promise<void> {
    await this.connection.close();
    await this.installation?.close();
  }

  /** A model name no other test uses. */
  name(prefix = 'm'): string {
    return `${prefix}-${randomBytes(4).toString('hex')}`;
  }

  /** Puts a zip into the bucket as any S3 client would. `name` is a date for weights. */
  async put(model: string, kind: ArtifactKind, zip: Buffer, name = '20260101'): Promise<void> {
    const key = artifactKey(model, kind, kind === 'weights' ? name : model);
    await this.s3.putObject(this.stack.s3.bucket, key, zip, zip.length);
  }

  /** Puts a model of its own into the store: the greeter with these weights; answers its name. */
  async greeter(prefix: string, weights: GreeterWeights = {}): Promise<string> {
    const model = this.name(prefix);
    await this.put(model, 'source', await greeterSource());
    await this.put(model, 'weights', await greeterWeights(weights));
    return model;
  }

  async deploy(
    request: DeployRequest,
    workflowId = `test/${this.name('d')}`,
  ): Promise<WorkflowHandleWithFirstExecutionRunId> {
    const { taskQueue } = this.stack.temporal;
    return await this.temporal.workflow.start(deployWorkflow, { taskQueue, workflowId, args: [request] });
  }

  /** Deploys and waits for the end. */
  async ship(request: DeployRequest): Promise<DeployResult> {
    return (await (await this.deploy(request)).result()) as DeployResult;
  }

  status(handle: WorkflowHandle): Promise<DeploymentStatus> {
    return handle.query<DeploymentStatus>(statusQuery);
  }

  /** Waits until a deployment has failed; answers the failure. */
  async failure(handle: WorkflowHandle): Promise<ApplicationFailure> {
    const error: unknown = await handle.result().then(
      () => assert.fail('the deployment succeeded'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof WorkflowFailedError, String(error));
    assert.ok(error.cause instanceof ApplicationFailure, String(error.cause));
    return error.cause;
  }

  /** Waits until the service's owner holds no grant any more. */
  async untilFree(service: string, budget = 300_000): Promise<void> {
    const owner = this.temporal.workflow.getHandle(serviceWorkflowId(service));
    for (const end = Date.now() + budget; ; await delay(200)) {
      // A worker that is frozen by a test may have been given the query: ask again.
      const state = await owner.query<ServiceState>(serviceStateQuery).catch(() => null);
      if (state !== null && state.holder === null) return;
      assert.ok(Date.now() < end, `service "${service}" is still held`);
    }
  }

  /** A prediction through the gateway. Throws with status and body unless it is 200. */
  async predict(service: string, input: unknown): Promise<unknown> {
    const { statusCode, body } = await request(`${this.stack.gateway}/v1/models/${service}/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input }),
      dispatcher: connections,
    });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`predicting: ${statusCode} ${text}`);
    return (JSON.parse(text) as { output: unknown }).output;
  }

  /** Passes when the census finds nothing unaccounted for that was not there before, at the latest after `budget` milliseconds. */
  async assertNothingLeft(budget = 60_000): Promise<void> {
    for (const end = Date.now() + budget; ; await delay(500)) {
      const found = (await census(this.stack)).unaccounted;
      const unaccounted = found.filter(({ kind, name }) => !this.before.has(`${kind} ${name}`));
      if (unaccounted.length === 0) return;
      if (Date.now() > end) assert.deepEqual(unaccounted, []);
    }
  }
}
