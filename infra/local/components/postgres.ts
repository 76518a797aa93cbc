import { chown, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import pRetry from 'p-retry';
import connectPostgres from 'postgres';
import { readIfPresent } from '../files.js';
import { commandName, ownerVariable } from '../processes.js';
import type { Component, Local } from './component.js';
import { nobody, unprivileged, type Folders } from './postgres-user.js';
import { ensureProcess, problemOf, runningPid, stopServer, type ServerProcess } from './server-process.js';

const database = 'slipway';

/** Connection string of the catalog. */
export const postgresUrl = (port: number, password: string, name = database): string =>
  `postgres://slipway:${password}@127.0.0.1:${port}/${name}`;

/** PostgreSQL from the binaries of a package; as another user than root, which it refuses. */
export function postgres({ home, ports, settings, tools, report, signal }: Local): Component {
  const folders = async (): Promise<Folders> => ({
    program: await tools.postgres(),
    data: join(home.data, 'postgres'),
  });
  const url = (name: string): string => postgresUrl(ports.postgres, settings.secrets.postgres, name);
  const server: ServerProcess = {
    home,
    name: 'postgres',
    report,
    signal,
    budget: 60_000,
    // Fast shutdown: sessions are ended, not waited for.
    stop: { signal: 'SIGINT', grace: 20_000 },
    prepare: async () => {
      const found = await folders();
      const options = {
        listen_addresses: '127.0.0.1',
        port: String(ports.postgres),
        unix_socket_directories: '',
        max_connections: '200',
        log_min_messages: 'warning',
      };
      return unprivileged(found, 'postgres', ({ data }) => [
        ...['-D', join(data, 'cluster')],
        ...Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ]);
    },
    clear: async () => removeStalePid(join((await folders()).data, 'cluster', 'postmaster.pid')),
    check: () => query(url('postgres'), 'select 1'),
  };
  return {
    name: 'postgres',
    url: `postgres://127.0.0.1:${ports.postgres}/${database}`,
    async ensure() {
      await createCluster(await folders(), settings.secrets.postgres, home.name, () =>
        report.step('postgres', 'creating its data folder'),
      );
      // Workers of a killed server hold its shared memory for another moment.
      const done = await pRetry(() => ensureProcess(server), { retries: 2, minTimeout: 1_000, signal });
      await createDatabase(url('postgres'));
      return done;
    },
    stop: () => stopServer(server),
    problem: () => problemOf(server),
    pid: () => runningPid(server),
  };
}

async function createCluster(
  folders: Folders,
  password: string,
  owner: string,
  onStart: () => void,
): Promise<void> {
  const cluster = join(folders.data, 'cluster');
  if (existsSync(cluster)) return;
  onStart();
  const partial = join(folders.data, 'cluster.partial');
  const passwordFile = join(folders.data, 'password');
  await rm(partial, { recursive: true, force: true });
  await mkdir(folders.data, { recursive: true, mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (process.getuid?.() === 0)
    for (const path of [folders.data, passwordFile]) await chown(path, nobody, nobody);
  const { command, args, env } = unprivileged(folders, 'initdb', ({ data }) => [
    ...['--pgdata', join(data, 'cluster.partial'), '--pwfile', join(data, 'password')],
    ...['--username', 'slipway', '--auth', 'scram-sha-256', '--encoding', 'UTF8', '--locale', 'C'],
  ]);
  try {
    await execa(command, args, { env: { ...env, [ownerVariable]: `${owner}/postgres` } });
  } finally {
    await rm(passwordFile, { force: true });
  }
  // Only a whole cluster gets the name: one cut short is made again.
  await rename(partial, cluster);
}

async function createDatabase(url: string): Promise<void> {
  const sql = connectPostgres(url, { max: 1, onnotice: () => undefined });
  try {
    const found = await sql`select 1 from pg_database where datname = ${database}`;
    if (found.length === 0) await sql`create database ${sql(database)}`;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function query(url: string, text: string): Promise<void> {
  const sql = connectPostgres(url, { max: 1, connect_timeout: 2, onnotice: () => undefined });
  try {
    await sql.unsafe(text);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** After a reboot the number in the file may belong to something else, and the server would refuse to start. */
async function removeStalePid(path: string): Promise<void> {
  const pid = (await readIfPresent(path))?.split('\n')[0];
  if (!pid) return;
  if ((await commandName(Number(pid))) !== 'postgres') await rm(path, { force: true });
}
