import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { readIfPresent } from './files.js';

/** A process that cannot be mistaken for another one that got its number later. */
export type ProcessId = { pid: number; start: string };

/** Variable in the environment of everything a stack starts, by which leftovers are found. */
export const ownerVariable = 'SLIPWAY_OWNER';

const isLinux = process.platform === 'linux';

/** Start time of a running process in the system's own form, or null when it is gone or a zombie. */
export async function startTime(pid: number): Promise<string | null> {
  if (!isLinux) {
    const { stdout, exitCode } = await execa('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      reject: false,
    });
    const [state = 'Z', ...start] = stdout.trim().split(/\s+/);
    return exitCode !== 0 || state.startsWith('Z') ? null : start.join(' ');
  }
  try {
    // proc(5): after the name in brackets, field 3 is the state and field 22 the start time.
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

export async function isRunning({ pid, start }: ProcessId): Promise<boolean> {
  return (await startTime(pid)) === start;
}

/** Sends a signal unless the process has gone meanwhile. */
export async function signalProcess(id: ProcessId, signal: NodeJS.Signals): Promise<void> {
  if (!(await isRunning(id))) return;
  try {
    process.kill(id.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Ends a process: `signal`, `grace` ms to follow it, then SIGKILL. Returns when it is gone. */
export async function stopProcess(id: ProcessId, signal: NodeJS.Signals, grace: number): Promise<void> {
  await signalProcess(id, signal);
  if (await hasEnded(id, grace)) return;
  await signalProcess(id, 'SIGKILL');
  if (!(await hasEnded(id, 10_000)))
    throw new Error(`ending process ${id.pid}: it is there 10 s after SIGKILL`);
}

/** Waits for a process to end; false when it is still there after `budget` ms. */
export async function hasEnded(id: ProcessId, budget: number): Promise<boolean> {
  const end = Date.now() + budget;
  while (await isRunning(id)) {
    if (Date.now() > end) return false;
    await sleep(50);
  }
  return true;
}

/** Every process whose environment carries this owner: `<stack name>/<component>`, or all of a stack's. Linux only. */
export async function findOwned(owner: string): Promise<ProcessId[]> {
  if (!isLinux) return [];
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const start = pid === process.pid ? null : await startTime(pid);
      return start !== null && (await hasOwner(pid, owner)) ? { pid, start } : null;
    }),
  );
  return found.filter((id) => id !== null);
}

async function hasOwner(pid: number, owner: string): Promise<boolean> {
  try {
    const environment = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
    return environment.some(
      (entry) => entry === `${ownerVariable}=${owner}` || entry.startsWith(`${ownerVariable}=${owner}/`),
    );
  } catch {
    // Ended meanwhile, or another user's: in both cases not one of ours.
    return false;
  }
}

/** Name of the program a process runs; empty when it is gone. */
export async function commandName(pid: number): Promise<string> {
  if (isLinux) return (await readIfPresent(`/proc/${pid}/comm`))?.trim() ?? '';
  const { stdout } = await execa('ps', ['-o', 'comm=', '-p', String(pid)], { reject: false });
  return basename(stdout.trim());
}
