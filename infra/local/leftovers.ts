import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { labels } from '../../contract/serving.js';
import { listBuildSteps } from './components/docker-builds.js';
import { bridgeName } from './components/docker-bridge.js';
import { findCgroups } from './kubernetes/cgroups.js';
import { nodeNames } from './kubernetes/node.js';
import { connectEngine } from './engine.js';
import type { Home } from './home.js';
import { commandName, findOwned } from './processes.js';
import { readSettings, type Settings } from './settings.js';

/** What must be gone once a stack has been purged; asked for while it is up. */
export type Traces = { home: Home; engine: Settings['engine']; bridges: string[] };

/** Notes where a stack's traces would be. An engine that does not answer has no networks to tell of. */
export async function traces(home: Home): Promise<Traces> {
  const engine = (await readSettings(home))?.engine ?? null;
  const bridges = [bridgeName(home), nodeNames(home).link];
  if (engine)
    try {
      const networks = await connectEngine(engine.docker).listNetworks({
        filters: { label: [`${labels.stack}=${home.name}`] },
      });
      for (const { Options } of networks) bridges.push(Options?.['com.docker.network.bridge.name'] ?? '');
    } catch {
      // It was killed by a test; its own bridge is known all the same.
    }
  return { home, engine, bridges: bridges.filter(Boolean) };
}

/** Everything of a purged stack that is still there. */
export async function leftovers({ home, engine, bridges }: Traces): Promise<string[]> {
  const found: string[] = [];
  for (const path of [home.root, home.runtime, home.nodeRuntime])
    if (existsSync(path)) found.push(`folder ${path}`);
  for (const name of bridges)
    if (existsSync(`/sys/class/net/${name}`)) found.push(`network interface ${name}`);
  if (process.platform === 'linux') {
    for (const path of await findCgroups(nodeNames(home).cgroup)) found.push(`control group ${path}`);
    const mounts = (await readFile('/proc/self/mounts', 'utf8'))
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '');
    found.push(
      ...mounts.filter((point) => point.startsWith(`${home.root}/`)).map((point) => `mount ${point}`),
    );
    found.push(...(await findOwned(home.name)).map(({ pid }) => `process ${pid}`));
  }
  if (engine?.kind === 'private')
    for (const id of await listBuildSteps(join(home.data, 'docker'))) found.push(`step of a build ${id}`);
  if (engine?.kind === 'shared') {
    const filters = { label: [`${labels.stack}=${home.name}`] };
    const docker = connectEngine(engine.docker);
    for (const { Id } of await docker.listContainers({ all: true, filters })) found.push(`container ${Id}`);
    for (const { Name } of await docker.listNetworks({ filters })) found.push(`network ${Name}`);
  }
  return found;
}

/** Every other process with this `NAME=value` in its environment. Linux only. */
export async function processesWith(variable: string): Promise<string[]> {
  const found: string[] = [];
  if (process.platform !== 'linux') return found;
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)) {
    // Ended meanwhile, or another user's.
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (pid !== process.pid && environment.split('\0').includes(variable))
      found.push(`process ${pid} (${await commandName(pid)})`);
  }
  return found;
}
