import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import pRetry from 'p-retry';
import { createActivities, type Activities } from '../activities/index.js';
import { messageOf, Refused } from '../contract/errors.js';
import type { Stack, TemporalConfig } from '../contract/stack.js';
import { openPlatform, type Platform } from '../platform/open.js';
import { temporalConnection } from '../platform/temporal.js';
import { encryptionKeys, payloadCodec } from '../platform/temporal-encryption.js';
import { temporalFault } from '../platform/temporal-fault.js';
import { versioned, type WorkerVersion } from './version.js';
import { failureConverterPath, workflowBundle } from './workflow-bundle.js';

export type WorkerOptions = {
  /** Takes part in Temporal's Worker Versioning as this version; left out: has none. */
  version?: WorkerVersion | null;
  /** Stands between Temporal and the activities; tests make faults there. */
  wrap?: (activities: Activities) => Activities;
};

/** A worker that polls. */
export type RunningWorker = {
  /** Settles when it has ended; rejects when something other than {@link stop} or a signal ended it. */
  ended: Promise<void>;
  /** Lets what it does end, within 30 s, and waits for it. */
  stop: () => Promise<void>;
};

/** Runs workflows and activities until the process is told to stop (SIGTERM, SIGINT). `onReady`: it polls. */
export async function runWorker(
  stack: Stack,
  { onReady, ...options }: WorkerOptions & { onReady: () => Promise<void> },
): Promise<void> {
  const { ended } = await startWorker(stack, options);
  await Promise.all([ended, onReady()]);
}

/** Starts running workflows and activities, until it or the process is told to stop; answers once it polls. */
export async function startWorker(
  stack: Stack,
  { version, wrap }: WorkerOptions = {},
): Promise<RunningWorker> {
  const { namespace, taskQueue } = stack.temporal;
  // Servers may come up after the worker: connecting is tried for as long as it takes.
  const [{ native, connection }, platform, keys] = await Promise.all([
    connectTemporal(stack.temporal),
    patiently('connecting to the catalog', () => openPlatform(stack)),
    patiently('reading the keys of payloads', () => encryptionKeys(stack.temporal)),
  ]);
  const encrypting = keys.size > 0;
  const payloadCodecs = [payloadCodec(keys)];
  const stopped = new AbortController();
  const prepared = prepareStorage(platform, stopped.signal);
  const close = async (): Promise<void> => {
    stopped.abort();
    await prepared;
    await platform.catalog.close();
    await connection.close();
    await native.close();
  };
  try {
    const client = new Client({ connection, namespace, dataConverter: { payloadCodecs } });
    const activities = createActivities(platform, client);
    const worker = await Worker.create({
      connection: native,
      namespace,
      taskQueue,
      workflowBundle: await workflowBundle({ encrypting }),
      dataConverter: { payloadCodecs, ...(encrypting && { failureConverterPath }) },
      activities: wrap ? wrap(activities) : activities,
      ...(version ? versioned(version) : {}),
      // Every running deployment has one activity that only waits for its end: slots must not run out for
      // the others. What is heavy bounds itself.
      maxConcurrentActivityTaskExecutions: 1_000,
      // A cancellation arrives with the answer to a heartbeat; by default that may be one in 12 s.
      maxHeartbeatThrottleInterval: '2s',
      // The default of 0 would cut activities off at once when the worker is asked to stop.
      shutdownGraceTime: '10s',
      shutdownForceTime: '30s',
    });
    const run = async (): Promise<void> => {
      try {
        await worker.run();
      } finally {
        await close();
      }
    };
    const ended = run();
    const stop = async (): Promise<void> => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await ended;
    };
    return { ended, stop };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Beside the worker: what it runs waits for storage by itself, and whoever may not change the bucket is told once. */
async function prepareStorage({ storage }: Platform, signal: AbortSignal): Promise<void> {
  try {
    await pRetry(() => storage.prepare(signal), {
      retries: Infinity,
      maxTimeout: 5_000,
      signal,
      shouldRetry: ({ error }) => !(error instanceof Refused),
    });
  } catch (error) {
    if (signal.aborted) return;
    console.error(
      `${messageOf(error)}: without versions, what a deployment reads may be overwritten meanwhile`,
    );
  }
}

/** One connection for the worker's polls, one for what activities ask. */
async function connectTemporal(config: TemporalConfig) {
  const what = `connecting to Temporal at ${config.address}`;
  const why = () => temporalFault(config);
  // One after the other: what is in the way of one would be said twice.
  const native = await patiently(
    what,
    async () => NativeConnection.connect(await temporalConnection(config)),
    why,
  );
  const connection = await patiently(
    what,
    async () => Connection.connect(await temporalConnection(config)),
    why,
  );
  return { native, connection };
}

/** Tries until it works. `why` may know more about a failure than its error says. */
const patiently = <T>(
  what: string,
  run: () => Promise<T>,
  why: () => Promise<string | null> = () => Promise.resolve(null),
): Promise<T> =>
  pRetry(run, {
    retries: Infinity,
    maxTimeout: 5_000,
    onFailedAttempt: async ({ error }) => {
      const told = (await why().catch(() => null)) ?? messageOf(error);
      console.error(`${what}: ${told}; trying again`);
    },
  });
