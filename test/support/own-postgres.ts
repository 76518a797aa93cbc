import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import pg from 'pg';
import { nobody, unprivileged, type Folders } from '../../infra/local/components/postgres-user.js';
import { postgresFolder } from '../../infra/local/tools/postgres.js';
import { serverPort } from './ports.js';

/** A PostgreSQL server that belongs to whoever starts it, to be stopped, killed and started again at will. */
export class OwnPostgres {
  private child: ChildProcess | null = null;

  /** Its log. */
  private said = '';

  private constructor(
    private readonly folders: Folders,
    readonly port: number,
    private readonly settings: Record<string, string>,
  ) {}

  static async start(settings: Record<string, string> = {}): Promise<OwnPostgres> {
    const data = await mkdtemp(join(tmpdir(), 'slipway-postgres-'));
    const server = new OwnPostgres({ program: await postgresFolder(), data }, await serverPort(), settings);
    try {
      await server.initialise();
      await server.restart();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  /** Makes an empty database; answers its connection string. */
  async database(name: string): Promise<string> {
    const client = new pg.Client(this.url('postgres'));
    await client.connect();
    await client.query(`create database ${client.escapeIdentifier(name)}`);
    await client.end();
    return this.url(name);
  }

  url(database: string): string {
    return `postgres://slipway:secret@127.0.0.1:${this.port}/${database}`;
  }

  /** `kill -9` of the server; returns when it and its backends are gone: an idle one answers once more otherwise. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.child;
    this.child = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const backends = await childrenOf(child.pid!);
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
    // Bounded: where nobody reaps orphans, they stay as zombies.
    for (const end = Date.now() + 5_000; backends.some(isThere) && Date.now() < end;) await delay(20);
    // By the time it comes back its number may be another server's, which it would take for itself.
    if (signal === 'SIGKILL') await rm(join(this.folders.data, 'cluster', 'postmaster.pid'), { force: true });
  }

  /** Starts the server on the same port and data; returns when it answers. */
  async restart(budget = 180_000): Promise<void> {
    for (const end = Date.now() + budget; ; await delay(100)) {
      // Workers of a killed server hold its memory for a moment, and a new one does not start meanwhile.
      const { child } = this;
      if (!child || child.exitCode !== null || child.signalCode !== null) this.child = this.run();
      if (await this.answers()) return;
      if (Date.now() > end)
        throw new Error(`starting PostgreSQL: it does not answer; it said: ${this.said.slice(-2_000)}`);
    }
  }

  async close(): Promise<void> {
    await this.kill('SIGINT');
    await rm(this.folders.data, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  private run(): ChildProcess {
    const { command, args, env } = unprivileged(this.folders, 'postgres', ({ data }) => [
      ...['-D', join(data, 'cluster'), '-p', String(this.port)],
      ...Object.entries({
        listen_addresses: '127.0.0.1',
        unix_socket_directories: '',
        max_connections: '200',
        ...this.settings,
      }).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ]);
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.on('data', (bytes: Buffer) => (this.said += bytes.toString()));
    return child;
  }

  private async initialise(): Promise<void> {
    const password = join(this.folders.data, 'password');
    await writeFile(password, 'secret', { mode: 0o600 });
    if (process.getuid?.() === 0)
      for (const path of [this.folders.data, password]) await chown(path, nobody, nobody);
    const { command, args, env } = unprivileged(this.folders, 'initdb', ({ data }) => [
      ...['--pgdata', join(data, 'cluster'), '--pwfile', join(data, 'password'), '--no-sync'],
      ...['--username', 'slipway', '--auth', 'scram-sha-256', '--encoding', 'UTF8', '--locale', 'C'],
    ]);
    await execa(command, args, { env });
  }

  private async answers(): Promise<boolean> {
    const client = new pg.Client({ connectionString: this.url('postgres'), connectionTimeoutMillis: 2_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query('select 1');
      return true;
    } catch {
      return false;
    } finally {
      await client.end();
    }
  }
}

/** On Linux; elsewhere none are known. */
async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
