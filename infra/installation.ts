import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection, isGrpcServiceError } from '@temporalio/client';
import pRetry from 'p-retry';
import connectPostgres from 'postgres';
import { searchAttributes } from '../contract/deployment.js';
import { messageOf } from '../contract/errors.js';
import { installationNamed } from '../contract/installation.js';
import { Stack, type TemporalConfig } from '../contract/stack.js';
import { ensureBucket } from '../platform/storage/connection.js';
import { loadStack } from '../platform/stack.js';
import { temporalConnection } from '../platform/temporal.js';
import { readIfPresent, writeAtomically } from './local/files.js';

/** Where an installation of its own is reached, and keeps what it has on this machine. */
export type Place = {
  folder: string;
  /** Ports of its API and gateway on loopback. */
  ports: { api: number; gateway: number };
};

/**
 * Makes an installation of its own on the servers of another: a Temporal namespace, a database, a bucket, a prefix in the
 * registry and a label on engines and cluster, all named after it, so that neither ever sees what the other has. Answers
 * its configuration, which is written to `stack.json` in its folder (mode 0600). Done again, it makes what is missing and
 * leaves that file as it is. It uses the credentials of the other; give it narrower ones in its file where the servers have
 * them.
 *
 * Throws naming the server that could not be asked.
 */
export async function createInstallation(servers: Stack, name: string, place: Place): Promise<Stack> {
  const own = installationNamed(name);
  const { folder, ports } = place;
  const file = join(folder, 'stack.json');
  const kept = await readIfPresent(file);
  if (kept !== null) {
    const there = await loadStack(file);
    await makeMissing(servers, there);
    return there;
  }
  const state = join(folder, 'state');
  await mkdir(state, { recursive: true, mode: 0o700 });
  const url = new URL(servers.postgres);
  url.pathname = `/${own.database}`;
  const stack = Stack.parse({
    ...servers,
    name: own.name,
    api: `http://127.0.0.1:${ports.api}`,
    gateway: `http://127.0.0.1:${ports.gateway}`,
    token: randomBytes(24).toString('hex'),
    temporal: { ...servers.temporal, ...own.temporal },
    postgres: url.href,
    s3: { ...servers.s3, bucket: own.bucket },
    registry: { ...servers.registry, prefix: own.registryPrefix },
    cache: { ...servers.cache, path: join(folder, 'cache') },
    state,
    listen: undefined,
    workerMetrics: undefined,
  } satisfies Partial<Stack>);
  await makeMissing(servers, stack);
  await writeAtomically(file, `${JSON.stringify(stack, null, 2)}\n`);
  return stack;
}

async function makeMissing(servers: Stack, { postgres, temporal, s3 }: Stack): Promise<void> {
  const database = decodeURIComponent(new URL(postgres).pathname.slice(1));
  await Promise.all([
    ensureDatabase(servers.postgres, database),
    ensureNamespace(temporal),
    ensureBucket(s3),
  ]);
}

/** Makes an empty database beside that of `url`, where it is missing. */
async function ensureDatabase(url: string, database: string): Promise<void> {
  const sql = connectPostgres(url, { max: 1, connect_timeout: 10, onnotice: () => undefined });
  try {
    const found = await sql`select 1 from pg_database where datname = ${database}`;
    if (found.length === 0) await sql`create database ${sql(database)}`;
  } catch (cause) {
    throw new Error(`making database "${database}" on ${new URL(url).host}: ${messageOf(cause)}`, { cause });
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** `ALREADY_EXISTS`. https://grpc.io/docs/guides/status-codes/ */
const alreadyExists = 6;
/** https://github.com/temporalio/api/blob/master/temporal/api/enums/v1/common.proto */
const keyword = 2;
/** How long Temporal keeps what has ended. */
const retention = 7 * 86_400;

/** Registers a namespace and its search attributes where they are missing; returns when both are known. */
export async function ensureNamespace(config: TemporalConfig): Promise<void> {
  const { namespace } = config;
  const connection = await Connection.connect(await temporalConnection(config));
  try {
    const { workflowService } = new Client({ connection }).connection;
    await workflowService
      .registerNamespace({ namespace, workflowExecutionRetentionPeriod: { seconds: retention as never } })
      .catch((error: unknown) => {
        if (!isGrpcServiceError(error) || error.code !== alreadyExists) throw error;
      });
    // It takes the server a moment to know a new one.
    await pRetry(() => addSearchAttributes(connection, namespace), {
      retries: 100,
      minTimeout: 50,
      maxTimeout: 500,
    });
  } catch (cause) {
    throw new Error(`making namespace "${namespace}" in Temporal at ${config.address}: ${messageOf(cause)}`, {
      cause,
    });
  } finally {
    await connection.close();
  }
}

async function addSearchAttributes({ operatorService }: Connection, namespace: string): Promise<void> {
  const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
  const missing = searchAttributes.filter((name) => !(name in (customAttributes ?? {})));
  if (missing.length === 0) return;
  await operatorService.addSearchAttributes({
    namespace,
    searchAttributes: Object.fromEntries(missing.map((name) => [name, keyword])),
  });
}
