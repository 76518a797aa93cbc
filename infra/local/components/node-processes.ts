import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readIfPresent } from '../files.js';
import type { Component, Local } from './component.js';
import { answers } from './answers.js';
import { ensureProcess, problemOf, runningPid, stopServer, type ServerProcess } from './server-process.js';

const dist = fileURLToPath(new URL('../../../', import.meta.url));

/** Starts one of Slipway's own processes; a new build or another configuration restarts it. */
const launch = (local: Local, entry: string): ServerProcess['prepare'] => {
  const { home } = local;
  return async () => ({
    command: process.execPath,
    args: ['--enable-source-maps', join(dist, entry)],
    env: { SLIPWAY_HOME: home.root, SLIPWAY_STACK: home.stackFile },
    version: `${await readIfPresent(join(dist, '.slipway-build'))} ${await readIfPresent(home.stackFile)}`,
  });
};

/** Temporal worker: healthy once it polls. */
export function worker(local: Local): Component {
  const { home, report, signal } = local;
  const ready = join(home.run, 'worker.ready');
  const server: ServerProcess = {
    home,
    name: 'worker',
    report,
    signal,
    budget: 120_000,
    stop: { signal: 'SIGTERM', grace: 45_000 },
    prepare: launch(local, 'workers/main.js'),
    clear: () => rm(ready, { force: true }),
    check: () =>
      existsSync(ready) ? Promise.resolve() : Promise.reject(new Error('it does not poll for work yet')),
  };
  return {
    name: 'worker',
    url: '',
    ensure: () => ensureProcess(server),
    stop: () => stopServer(server),
    problem: () => problemOf(server),
    pid: () => runningPid(server),
  };
}

/** HTTP API and gateway, one process. */
export function server(local: Local): Component {
  const { home, ports, report, signal } = local;
  const process: ServerProcess = {
    home,
    name: 'server',
    report,
    signal,
    budget: 60_000,
    stop: { signal: 'SIGTERM', grace: 45_000 },
    prepare: launch(local, 'api/main.js'),
    check: async (abort) => {
      await answers(`http://127.0.0.1:${ports.api}/healthz`, [200], abort);
      await answers(`http://127.0.0.1:${ports.gateway}/healthz`, [200], abort);
    },
  };
  return {
    name: 'server',
    url: `http://127.0.0.1:${ports.api}`,
    ensure: () => ensureProcess(process),
    stop: () => stopServer(process),
    problem: () => problemOf(process),
    pid: () => runningPid(process),
  };
}
