import { join } from 'node:path';
import type { Stack } from '../../contract/stack.js';
import {
  enabledComponents,
  type Component,
  type ComponentName,
} from '../../infra/local/components/component.js';
import { componentOf, components } from '../../infra/local/components/index.js';
import { findHome, type Home } from '../../infra/local/home.js';
import { openLocal } from '../../infra/local/local.js';
import { silent } from '../../infra/local/report.js';
import { loadSettings } from '../../infra/local/settings.js';
import { tools } from '../../infra/local/tools/index.js';
import { getTool } from '../../infra/local/tools/tool.js';
import { loadStack, slipwayHome } from '../../platform/stack.js';

export type { ComponentName };

/** The home of the stack that the test run started (`SLIPWAY_HOME`), whatever installation a test makes on it. */
export const runHome: Home = { ...findHome(), stackFile: join(slipwayHome(), 'stack.json') };

/** That stack; or a test's own installation on it, once it has opened one. */
export const testStack = (): Promise<Stack> => loadStack();

/** Process of a component, or null when none runs. */
export async function componentPid(name: ComponentName): Promise<number | null> {
  return await (await component(name)).pid();
}

/** Path of a program that the stack runs on. */
export const toolPath = (name: keyof typeof tools): Promise<string> =>
  getTool(tools[name], () => undefined, new AbortController().signal);

/** The components that the stack of the test run has. */
export const stackComponents = async (): Promise<ComponentName[]> =>
  enabledComponents(await loadSettings(runHome));

async function component(name: ComponentName): Promise<Component> {
  const local = await openLocal(runHome, silent, new AbortController().signal, { keep: true });
  return componentOf(components(local), name);
}
