import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { messageOf } from '../../../contract/errors.js';
import { readIfPresent, writeAtomically } from '../files.js';
import type { Home } from '../home.js';
import { findOwned, hasEnded, isRunning, ownerVariable, startTime, stopProcess } from '../processes.js';
import type { Report } from '../report.js';
import type { ComponentName } from './component.js';

export type Launch = {
  command: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  /** More that it was started from (content of a configuration file, compiled code): a change restarts it. */
  version?: string;
};

export type ServerProcess = {
  home: Home;
  name: ComponentName;
  report: Report;
  signal: AbortSignal;
  /** Writes what the process reads, and says how to start it. Called at every `ensure`; must be deterministic. */
  prepare: () => Promise<Launch>;
  /** Clears what a killed predecessor left. Nothing of it runs any more. */
  clear?: () => Promise<void>;
  /** Throws while it does not serve yet. */
  check: (signal: AbortSignal) => Promise<void>;
  /** Longest from start to healthy, ms. */
  budget: number;
  stop?: { signal: NodeJS.Signals; grace: number };
  /** Which of the processes it started go with it; left out: all. */
  isLeftover?: (pid: number) => Promise<boolean>;
};

const ProcessRecord = z.object({ pid: z.number(), start: z.string(), fingerprint: z.string() });

const recordFile = ({ home, name }: ServerProcess): string => join(home.run, `${name}.json`);
const logFile = ({ home, name }: ServerProcess): string => join(home.logs, `${name}.log`);

/** See `Component.ensure`, for a component that is one process of ours. */
export async function ensureProcess(server: ServerProcess): Promise<'running' | 'started' | 'restarted'> {
  const { name, report } = server;
  const launch = await server.prepare();
  const fingerprint = fingerprintOf(launch);
  const record = await readRecord(server);
  const alive = record !== null && (await isRunning(record));
  if (alive && record.fingerprint === fingerprint && (await recovers(server))) return 'running';
  report.step(name, alive ? 'restarting' : 'starting');
  await stopServer(server);
  await server.clear?.();
  await start(server, launch, fingerprint);
  return record === null ? 'started' : 'restarted';
}

/** See `Component.stop`. */
export async function stopServer(server: ServerProcess): Promise<void> {
  const { signal, grace } = server.stop ?? { signal: 'SIGTERM', grace: 15_000 };
  const record = await readRecord(server);
  if (record !== null) await stopProcess(record, signal, grace);
  // Children of a killed parent, and a process whose starter died before it wrote the record.
  const left = await findOwned(`${server.home.name}/${server.name}`);
  for (const id of left)
    if ((await server.isLeftover?.(id.pid)) ?? true) await stopProcess(id, signal, grace);
  await rm(recordFile(server), { force: true });
}

/** See `Component.problem`. */
export async function problemOf(server: ServerProcess): Promise<string | null> {
  if ((await runningPid(server)) === null) return 'not running';
  try {
    await server.check(AbortSignal.timeout(3_000));
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

export async function runningPid(server: ServerProcess): Promise<number | null> {
  const record = await readRecord(server);
  return record !== null && (await isRunning(record)) ? record.pid : null;
}

async function start(server: ServerProcess, launch: Launch, fingerprint: string): Promise<void> {
  const { home, name } = server;
  await rotate(logFile(server));
  const log = await open(logFile(server), 'a', 0o600);
  const { size } = await log.stat();
  try {
    const child = spawn(launch.command, launch.args, {
      // A session of its own: Ctrl-C at `up` and a closed terminal are none of its business.
      detached: true,
      cwd: home.root,
      env: { ...process.env, ...launch.env, [ownerVariable]: `${home.name}/${name}` },
      stdio: ['ignore', log.fd, log.fd],
    });
    const pid = await new Promise<number>((resolve, reject) => {
      child.once('error', (cause) => reject(new Error(`starting ${name}: "${launch.command}"`, { cause })));
      child.once('spawn', () => resolve(child.pid as number));
    });
    child.unref();
    const id = { pid, start: (await startTime(pid)) ?? 'ended' };
    await writeAtomically(recordFile(server), JSON.stringify({ ...id, fingerprint }));
    await untilHealthy(server, id, size);
  } finally {
    await log.close();
  }
}

async function untilHealthy(
  server: ServerProcess,
  id: { pid: number; start: string },
  logStart: number,
): Promise<void> {
  const end = Date.now() + server.budget;
  for (;;) {
    server.signal.throwIfAborted();
    let cause: unknown;
    try {
      await server.check(AbortSignal.any([AbortSignal.timeout(3_000), server.signal]));
      // Something else may answer on the port while ours ended at once.
      if (await isRunning(id)) return;
    } catch (error) {
      cause = error;
    }
    const ended = await hasEnded(id, 0);
    if (ended || Date.now() > end) {
      const what = ended ? 'it ended' : `not healthy after ${server.budget / 1000} s`;
      const tail = await lastLines(logFile(server), logStart);
      throw new Error(
        `starting ${server.name}: ${what}${cause === undefined || ended ? '' : ` (${messageOf(cause)})`}; last lines of ${logFile(server)}:\n${tail}`,
        { cause },
      );
    }
    await sleep(100, undefined, { signal: server.signal });
  }
}

/** A busy server gets a second chance before it is taken for broken. */
async function recovers(server: ServerProcess): Promise<boolean> {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    try {
      await server.check(AbortSignal.any([AbortSignal.timeout(3_000), server.signal]));
      return true;
    } catch {
      server.signal.throwIfAborted();
      if ((await runningPid(server)) === null) return false;
      await sleep(500, undefined, { signal: server.signal });
    }
  }
  return false;
}

async function readRecord(server: ServerProcess): Promise<z.infer<typeof ProcessRecord> | null> {
  const text = await readIfPresent(recordFile(server));
  return text === null ? null : ProcessRecord.parse(JSON.parse(text));
}

function fingerprintOf({ command, args, env, version }: Launch): string {
  return createHash('sha256')
    .update(JSON.stringify([command, args, env, version]))
    .digest('hex');
}

async function rotate(path: string): Promise<void> {
  const size = await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
  if (size > 20 * 2 ** 20) await rename(path, `${path}.1`);
}

async function lastLines(path: string, from: number): Promise<string> {
  const text = (await readFile(path)).subarray(from).toString();
  return text.trimEnd().split('\n').slice(-15).join('\n') || '(nothing was logged)';
}
