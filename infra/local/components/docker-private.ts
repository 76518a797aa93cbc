import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pRetry from 'p-retry';
import { chainsAreMade } from '../../../platform/targets/engine.js';
import { askEngine, connectEngine } from '../engine.js';
import { writeAtomically } from '../files.js';
import { unmountBelow } from '../mounts.js';
import { localNode, readStack } from '../stack-file.js';
import { commandName, findOwned, stopProcess } from '../processes.js';
import { endBuildSteps } from './docker-builds.js';
import { bridgeName, createBridge, deleteBridges } from './docker-bridge.js';
import { stopContainers } from './docker-containers.js';
import type { Component, Local } from './component.js';
import { ensureProcess, problemOf, runningPid, stopServer, type ServerProcess } from './server-process.js';

/**
 * A `dockerd` of the stack's own: own data, socket, network bridge and configuration, so that it shares
 * nothing with another engine on the machine. Containers live on when it is killed, and are found again; steps of builds
 * live on too, and are ended: their builds begin anew.
 */
export function privateEngine(local: Local, address: string): Component {
  const { home, settings, tools, report, signal } = local;
  const data = join(home.data, 'docker');
  const configFile = join(home.run, 'dockerd.json');
  const pidFile = join(home.runtime, 'docker.pid');
  // Beside it lie containerd, runc and docker-proxy when it was downloaded.
  const envOf = (dockerd: string) => ({ PATH: `${dirname(dockerd)}:${process.env['PATH'] ?? ''}` });
  const server: ServerProcess = {
    home,
    name: 'docker',
    report,
    signal,
    budget: 90_000,
    stop: { signal: 'SIGTERM', grace: 40_000 },
    // A container's shim is not a leftover: without it the container could not be found again.
    isLeftover: async (pid) => !(await commandName(pid)).startsWith('containerd-shim'),
    prepare: async () => {
      await mkdir(home.runtime, { recursive: true, mode: 0o700 });
      const dockerd = await tools.docker();
      const config = JSON.stringify(
        {
          'data-root': data,
          'exec-root': join(home.runtime, 'exec'),
          pidfile: pidFile,
          hosts: [address],
          group: 'root',
          bridge: bridgeName(home),
          'live-restore': true,
          // The machine's own routing stays as it is: requests come over loopback, builds use its network. Only
          // replicas that may call out need it changed.
          'ip-forward':
            (await readStack(home))?.nodes.some(
              ({ name, egress }) => name === localNode && egress === 'open',
            ) ?? false,
          'log-opts': { 'max-size': '10m', 'max-file': '3' },
        },
        null,
        2,
      );
      await writeAtomically(configFile, config);
      return {
        command: dockerd,
        args: ['--config-file', configFile],
        env: envOf(dockerd),
        version: config,
      };
    },
    clear: async () => {
      await rm(pidFile, { force: true });
      await rm(join(home.runtime, 'exec', 'containerd', 'containerd.pid'), { force: true });
      await endBuildSteps(data, envOf(await tools.docker()));
    },
    check: () => askEngine(address, 3_000),
  };

  /** Interfaces of all its networks; they outlive it. */
  const bridges = async (): Promise<string[]> => {
    const networks = await connectEngine(address).listNetworks({ filters: { driver: ['bridge'] } });
    return networks.map(
      ({ Id, Options }) => Options?.['com.docker.network.bridge.name'] ?? `br-${Id.slice(0, 12)}`,
    );
  };
  const ensure = async (): ReturnType<Component['ensure']> => {
    await createBridge(home, settings);
    // Engines that start at the same moment make the same chains of the firewall, each anew, and one of them gives up.
    return await pRetry(() => ensureProcess(server), {
      retries: 5,
      minTimeout: 500,
      signal: local.signal,
      shouldRetry: ({ error }) => chainsAreMade(error.message),
    });
  };
  const isThere = async (): Promise<boolean> =>
    existsSync(home.runtime) || (await findOwned(`${home.name}/docker`)).length > 0;

  return {
    name: 'docker',
    url: address,
    ensure,
    async stop() {
      if (!(await isThere())) return;
      // Only the engine itself can stop its containers properly and name its networks.
      if ((await problemOf(server)) !== null) await ensure();
      const interfaces = await bridges();
      await stopContainers(address, home, {});
      await stopServer(server);
      for (const id of await findOwned(`${home.name}/docker`)) await stopProcess(id, 'SIGTERM', 5_000);
      await endBuildSteps(data, envOf(await tools.docker()));
      await deleteBridges([bridgeName(home), ...interfaces]);
      await unmountBelow([data, home.runtime]);
      await rm(home.runtime, { recursive: true, force: true });
    },
    problem: () => problemOf(server),
    pid: () => runningPid(server),
  };
}
