import { readFile } from 'node:fs/promises';
import type { Home } from '../home.js';
import { commandName, findOwned } from '../processes.js';
import type { PartName } from './parts.js';

/** Names that the kernel knows the programs by: 15 characters at most. */
const commands: Record<PartName, string> = {
  containerd: 'containerd',
  etcd: 'etcd',
  apiserver: 'kube-apiserver',
  'controller-manager': 'kube-controller',
  scheduler: 'kube-scheduler',
  kubelet: 'kubelet',
  proxy: 'kube-proxy',
  dns: 'coredns',
};

/** Process of one program of a stack's node, as the machine numbers it; null when it does not run. */
export async function partPid(home: Home, name: PartName): Promise<number | null> {
  // What a part has started carries its mark too, and may have its name for the moment between fork and exec.
  const owned: number[] = [];
  for (const { pid } of await findOwned(`${home.name}/kubernetes/${name}`))
    if ((await commandName(pid)) === commands[name]) owned.push(pid);
  for (const pid of owned) if (!owned.includes(await parentOf(pid))) return pid;
  return null;
}

/** proc(5): after the name in brackets, field 4 is the parent; 0 when the process has ended meanwhile. */
async function parentOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
}
