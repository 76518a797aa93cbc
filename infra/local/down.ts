import { existsSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ComponentName } from './components/component.js';
import type { Components } from './components/index.js';
import { componentOf, components } from './components/index.js';
import { removeTraces } from './components/docker-traces.js';
import { installationNames, type Home } from './home.js';
import { whileLocked } from './lock.js';
import { unmountBelow } from './mounts.js';
import { openLocal } from './local.js';
import { findOwned, stopProcess } from './processes.js';
import type { Report } from './report.js';
import { readSettings } from './settings.js';

/** Stops what `up` started. Data stays, unless it is to be purged. Nothing to stop is fine. */
export async function down(home: Home, purge: boolean, report: Report, signal: AbortSignal): Promise<void> {
  if (!existsSync(home.root)) return;
  const failures: unknown[] = [];
  const attempt = async (act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      failures.push(error);
    }
  };
  await whileLocked({ home, report, signal }, async () => {
    const settings = await readSettings(home);
    if (settings?.engine) {
      const local = await openLocal(home, report, signal, { keep: true });
      const all = components(local);
      const stop = (...names: ComponentName[]): Promise<unknown> =>
        Promise.all(names.map((name) => attempt(() => stopOne(all, name, report))));
      // First who acts, then what they act on.
      await stop('server', 'worker');
      if (all.kubernetes) await stop('kubernetes');
      const { engine } = settings;
      if (purge && engine.kind === 'shared')
        for (const name of [home.name, ...(await installationNames(home))])
          await attempt(() => removeTraces(engine.docker, name, local.ports.registry));
      await stop('docker', 'temporal', 'minio', 'registry', 'postgres');
    }
    for (const id of await findOwned(home.name)) await attempt(() => stopProcess(id, 'SIGTERM', 10_000));
  });
  if (failures.length > 1) throw new AggregateError(failures, 'taking the stack down');
  if (failures.length === 1) throw failures[0];
  if (purge) await removeHome(home, report);
}

async function stopOne(all: Components, name: ComponentName, report: Report): Promise<void> {
  report.step(name, 'stopping');
  await componentOf(all, name).stop();
  report.done(name, 'stopped');
}

async function removeHome(home: Home, report: Report): Promise<void> {
  report.step('data', 'removing');
  if (process.platform === 'linux') await unmountBelow([home.root]);
  const files = [home.kubeconfig, home.settingsFile, home.stackFile];
  for (const path of [home.data, home.logs, home.run, home.installations, ...files])
    await rm(path, { recursive: true, force: true });
  // The folder may hold what others put there.
  for (const folder of new Set([home.root, dirname(join(home.stackFile))]))
    await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(error.code ?? '')) throw error;
    });
  report.done('data', 'removed');
}
