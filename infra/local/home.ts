import { createHash } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { slipwayHome, stackFile } from '../../platform/stack.js';

/** Where one local stack keeps what it has. Everything of a stack is under `root` or `runtime`. */
export type Home = {
  root: string;
  /** Six hex digits of the folder's path: two stacks on one machine never share a name. */
  id: string;
  /** Name of the installation, e.g. `local-ab12cd`. */
  name: string;
  /** Servers' data; survives `down`. */
  data: string;
  logs: string;
  /** Records of running processes. */
  run: string;
  /** Sockets of the private engine. Short, because a socket's path may have 108 bytes, and gone after a reboot. */
  runtime: string;
  /** Sockets and state of the cluster's node, gone with it. */
  nodeRuntime: string;
  /** How to reach the stack's own cluster, while there is one. */
  kubeconfig: string;
  /** Folders of further installations on this stack's servers, by name. */
  installations: string;
  settingsFile: string;
  stackFile: string;
};

/** The home in `SLIPWAY_HOME`, else `.slipway` in the current folder. Creates nothing. */
export function findHome(root = slipwayHome()): Home {
  const id = createHash('sha256').update(root).digest('hex').slice(0, 6);
  return {
    root,
    id,
    name: `local-${id}`,
    data: join(root, 'data'),
    logs: join(root, 'logs'),
    run: join(root, 'run'),
    runtime: `/run/slipway-${id}`,
    nodeRuntime: `/run/slipway-${id}-node`,
    kubeconfig: join(root, 'kubeconfig'),
    installations: join(root, 'installations'),
    settingsFile: join(root, 'settings.json'),
    stackFile: stackFile(),
  };
}

/** Creates the folders, readable by their owner only. */
export async function createHome(home: Home): Promise<void> {
  for (const folder of [home.root, home.data, home.logs, home.run])
    await mkdir(folder, { recursive: true, mode: 0o700 });
}

/** Names of the further installations that were made on this stack's servers. */
export async function installationNames(home: Home): Promise<string[]> {
  const entries = await readdir(home.installations).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return entries.sort();
}

/** Per-user cache shared by all stacks: `$XDG_CACHE_HOME/slipway`, else `~/.cache/slipway`. */
export function cacheFolder(...parts: string[]): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'slipway', ...parts);
}
