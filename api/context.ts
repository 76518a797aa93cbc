import { Client, Connection } from '@temporalio/client';
import type { Logger } from 'pino';
import { messageOf } from '../contract/errors.js';
import type { Stack } from '../contract/stack.js';
import { openPlatform, type Platform } from '../platform/open.js';
import type { Storage } from '../platform/storage/index.js';
import { s3Storage } from '../platform/storage/s3.js';
import { Unavailable } from './errors.js';

/** Longest one question to Temporal may take: a server that is away is said to be, not waited for. */
const temporalBudget = 5_000;

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

export function openContext(stack: Stack, logger: Logger): ApiContext {
  const { address, namespace } = stack.temporal;
  const connection = Connection.lazy({
    address,
    // By default a server that was away for long is looked for every two minutes only.
    channelArgs: { 'grpc.initial_reconnect_backoff_ms': 200, 'grpc.max_reconnect_backoff_ms': 2_000 },
  });
  const client = new Client({ connection, namespace });
  let opening: Promise<Platform> | null = null;
  return {
    stack,
    logger,
    storage: s3Storage(stack.s3),
    temporal: (ask, budget = temporalBudget) => client.withDeadline(Date.now() + budget, () => ask(client)),
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
