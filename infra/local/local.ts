import { join } from 'node:path';
import { z } from 'zod';
import type { ComponentName, Local } from './components/component.js';
import { readIfPresent } from './files.js';
import type { Home } from './home.js';
import { choosePorts, type PortName, type Ports } from './ports.js';
import { isRunning } from './processes.js';
import type { Report } from './report.js';
import { loadSettings, saveSettings } from './settings.js';
import { toolPaths } from './tools/index.js';

/** Which component listens on a port. */
export const componentPorts: Record<PortName, ComponentName> = {
  gateway: 'server',
  api: 'server',
  temporal: 'temporal',
  temporalUi: 'temporal',
  s3: 'minio',
  s3Console: 'minio',
  registry: 'registry',
  postgres: 'postgres',
  workerMetrics: 'worker',
};

/**
 * A stack ready to be worked on: settings made or read, ports chosen. Call while it is locked; or with `keep`,
 * which takes everything as it was last and changes nothing.
 */
export async function openLocal(
  home: Home,
  report: Report,
  signal: AbortSignal,
  { keep = false } = {},
): Promise<Local> {
  const settings = await loadSettings(home);
  if (!keep) {
    settings.ports = await choosePorts(settings.ports, (name) => runs(home, componentPorts[name]));
    await saveSettings(home, settings);
  }
  const ports = settings.ports as Ports;
  return { home, settings, ports, tools: toolPaths(report, signal), report, signal };
}

const ProcessRecord = z.object({ pid: z.number(), start: z.string() });

/** Does a component's process run? */
export async function runs(home: Home, name: ComponentName): Promise<boolean> {
  const text = await readIfPresent(join(home.run, `${name}.json`));
  return text !== null && (await isRunning(ProcessRecord.parse(JSON.parse(text))));
}
