import { Client, Connection, isGrpcServiceError, ServiceError } from '@temporalio/client';
import type { Logger } from 'pino';
import { messageOf } from '../contract/errors.js';
import type { Stack, TemporalConfig } from '../contract/stack.js';
import { openPlatform, type Platform } from '../platform/open.js';
import type { Storage } from '../platform/storage/index.js';
import { s3Storage } from '../platform/storage/s3.js';
import { temporalConnection } from '../platform/temporal.js';
import { encryptionKeys, payloadCodec } from '../platform/temporal-encryption.js';
import { temporalFault } from '../platform/temporal-fault.js';
import { Unavailable } from './errors.js';

/** Longest one question to Temporal may take: a server that is away is said to be, not waited for. */
const temporalBudget = 5_000;

/** `DEADLINE_EXCEEDED` and `UNAVAILABLE`. https://grpc.io/docs/guides/status-codes/ */
const unanswered = new Set([4, 14]);

/** What handlers work with. Servers may be away when the API starts: each is connected when first needed. */
export type ApiContext = {
  stack: Stack;
  logger: Logger;
  /** Throws {@link Unavailable} while the catalog cannot be reached. */
  platform(): Promise<Platform>;
  /** Works without the catalog. */
  storage: Storage;
  /** Asks Temporal; every call in `ask` fails once `budget` milliseconds have passed. */
  temporal: <T>(ask: (client: Client) => Promise<T>, budget?: number) => Promise<T>;
  close(): Promise<void>;
};

/** Throws `NotFound` or `InvalidInput` when a file that the configuration names cannot be used. */
export async function openContext(stack: Stack, logger: Logger): Promise<ApiContext> {
  const { namespace } = stack.temporal;
  const connection = Connection.lazy({
    ...(await temporalConnection(stack.temporal)),
    // By default a server that was away for long is looked for every two minutes only.
    channelArgs: { 'grpc.initial_reconnect_backoff_ms': 200, 'grpc.max_reconnect_backoff_ms': 2_000 },
  });
  const payloadCodecs = [payloadCodec(await encryptionKeys(stack.temporal))];
  const client = new Client({ connection, namespace, dataConverter: { payloadCodecs } });
  let opening: Promise<Platform> | null = null;
  return {
    stack,
    logger,
    storage: s3Storage(stack.s3),
    temporal: (ask, budget = temporalBudget) =>
      client
        .withDeadline(Date.now() + budget, () => ask(client))
        .catch(async (error: unknown) => Promise.reject(await explained(error, stack.temporal))),
    async platform() {
      // Remembered only when it worked, so that the next request tries again.
      const mine = (opening ??= openPlatform(stack));
      try {
        return await mine;
      } catch (cause) {
        if (opening === mine) opening = null;
        throw new Unavailable(`connecting to the catalog: ${messageOf(cause)}`, { cause });
      }
    },
    async close() {
      await connection.close();
      const platform = await opening?.catch(() => null);
      await platform?.catalog.close();
    },
  };
}

/** Of a Temporal that did not answer, {@link Unavailable} with the reason where there is one to be found. */
async function explained(error: unknown, config: TemporalConfig): Promise<unknown> {
  const cause: unknown = error instanceof ServiceError ? error.cause : error;
  if (!isGrpcServiceError(cause) || !unanswered.has(cause.code)) return error;
  const fault = await temporalFault(config, 1_000).catch(() => null);
  return fault === null ? error : new Unavailable(`connecting to Temporal at ${config.address}: ${fault}`);
}
