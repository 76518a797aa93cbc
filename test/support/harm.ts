// What ends, stops and brings back parts of the stack or its node: a test file that imports it has them to itself.
import { rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { holdFile } from '../../infra/local/kubernetes/node.js';
import { partPid } from '../../infra/local/kubernetes/part-process.js';
import type { PartName } from '../../infra/local/kubernetes/parts.js';
import { hasEnded, signalProcess, startTime } from '../../infra/local/processes.js';
import { repair as repairComponents } from '../../infra/local/up.js';
import { componentPid, runHome, stackComponents, type ComponentName } from './stack.js';

export type { ComponentName, PartName };

/** Sends a real signal to a component's process; unless it only pauses or wakes it, waits for its end. */
export async function killComponent(name: ComponentName, signal: NodeJS.Signals): Promise<void> {
  const pid = await componentPid(name);
  const start = pid === null ? null : await startTime(pid);
  // Killed already by an earlier step.
  if (pid === null || start === null) return;
  await signalProcess({ pid, start }, signal);
  if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
  if (!(await hasEnded({ pid, start }, 60_000))) throw new Error(`"${name}" is there 60 s after ${signal}`);
}

/**
 * Brings every component back, as `slipway up` does, save those that are to stay as they are; or these only, without a
 * look at the others.
 */
export async function repair({
  only,
  except = [],
}: { only?: readonly ComponentName[]; except?: ComponentName[] } = {}): Promise<void> {
  const names = (only ?? (await stackComponents())).filter((name) => !except.includes(name));
  await repairComponents(runHome, names, new AbortController().signal);
}

/**
 * Sends a real signal to one program of the node. After one that ends it, waits for its end; it is started again
 * within a second. SIGSTOP freezes it, SIGCONT thaws it.
 */
export async function killPart(name: PartName, signal: NodeJS.Signals): Promise<void> {
  const pid = await partPid(runHome, name);
  const start = pid === null ? null : await startTime(pid);
  if (pid === null || start === null) throw new Error(`killing "${name}": it does not run`);
  await signalProcess({ pid, start }, signal);
  if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
  if (!(await hasEnded({ pid, start }, 30_000))) throw new Error(`"${name}" is there 30 s after ${signal}`);
}

/** Kills a part and keeps it away until {@link releasePart}. */
export async function holdPart(name: PartName): Promise<void> {
  await writeFile(holdFile(runHome.nodeRuntime, name), '');
  if ((await partPid(runHome, name)) !== null) await killPart(name, 'SIGKILL');
}

/** Lets it come back; waits until it runs. */
export async function releasePart(name: PartName): Promise<void> {
  await rm(holdFile(runHome.nodeRuntime, name), { force: true });
  for (const end = Date.now() + 30_000; (await partPid(runHome, name)) === null; await sleep(50))
    if (Date.now() > end) throw new Error(`"${name}" does not run 30 s after it was released`);
}
