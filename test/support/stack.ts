import type { Stack } from '../../contract/stack.js';
import {
  enabledComponents,
  type Component,
  type ComponentName,
} from '../../infra/local/components/component.js';
import { componentOf, components } from '../../infra/local/components/index.js';
import { findHome } from '../../infra/local/home.js';
import { openLocal } from '../../infra/local/local.js';
import { hasEnded, signalProcess, startTime } from '../../infra/local/processes.js';
import { silent } from '../../infra/local/report.js';
import { loadSettings } from '../../infra/local/settings.js';
import { tools } from '../../infra/local/tools/index.js';
import { getTool } from '../../infra/local/tools/tool.js';
import { repair as repairComponents } from '../../infra/local/up.js';
import { loadStack } from '../../platform/stack.js';

export type { ComponentName };

/** The one stack that the test run started (`SLIPWAY_HOME`). */
export const testStack = (): Promise<Stack> => loadStack();

/** Process of a component, or null when none runs. */
export async function componentPid(name: ComponentName): Promise<number | null> {
  return await (await component(name)).pid();
}

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

/** Brings every component back, as `slipway up` does, save those that are to stay as they are. */
export async function repair({ except = [] }: { except?: ComponentName[] } = {}): Promise<void> {
  const names = (await stackComponents()).filter((name) => !except.includes(name));
  await repairComponents(findHome(), names, new AbortController().signal);
}

/** Path of a program that the stack runs on. */
export const toolPath = (name: keyof typeof tools): Promise<string> =>
  getTool(tools[name], () => undefined, new AbortController().signal);

/** The components that the stack of the test run has. */
export const stackComponents = async (): Promise<ComponentName[]> =>
  enabledComponents(await loadSettings(findHome()));

async function component(name: ComponentName): Promise<Component> {
  const local = await openLocal(findHome(), silent, new AbortController().signal, { keep: true });
  return componentOf(components(local), name);
}
