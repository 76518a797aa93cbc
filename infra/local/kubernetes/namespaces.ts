import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { commandName } from '../processes.js';
import { borrowFolders, returnFolders } from './borrowed.js';
import { kubeletRoot, nodeName, type ClusterNode } from './node.js';

/** The node's namespaces: process ids, network, mounts, host name. All that is in them ends with `holder`. */
export type Namespaces = { pid: number; holder: ChildProcess };

const flags = (pid: number): string[] => [
  ...['--target', String(pid), '--mount', '--net', '--pid', '--uts', '--'],
];

/** A command line that runs in the node. */
export const inNode = (pid: number, command: string, args: string[]): [string, string[]] => [
  'nsenter',
  [...flags(pid), command, ...args],
];

/** Makes the namespaces and what must be in them before the first program starts. */
export async function createNamespaces(node: ClusterNode, env: NodeJS.ProcessEnv): Promise<Namespaces> {
  const holder = spawn(
    'setpriv',
    [
      // When the process that keeps the node is killed, nothing of the node may go on without it.
      ...['--pdeathsig', 'KILL', '--', 'unshare', '--fork', '--kill-child'],
      ...['--pid', '--mount-proc', '--net', '--mount', '--uts', '--', join(node.programs, 'pause')],
    ],
    { env, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  await once(holder, 'spawn');
  try {
    const pid = await firstProcess(holder);
    const run = async (command: string, ...args: string[]): Promise<void> => {
      await execa(...inNode(pid, command, args));
    };
    await run('hostname', nodeName);
    await prepareMounts(node, run);
    await connect(node, pid, run);
    return { pid, holder };
  } catch (error) {
    holder.kill('SIGKILL');
    throw error;
  }
}

/** Waits for process 1 of the namespace, which reaps what nobody waits for. Its mounts are made before it starts. */
async function firstProcess(holder: ChildProcess): Promise<number> {
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(10)) {
    if (holder.exitCode !== null || holder.signalCode !== null)
      throw new Error(`making the node's namespaces: unshare ended, ${holder.exitCode ?? holder.signalCode}`);
    const children = await readFile(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8');
    const pid = Number(children.trim().split(' ')[0]);
    if (pid > 0 && (await commandName(pid)) === 'pause') return pid;
  }
  throw new Error("making the node's namespaces: no process after 10 s");
}

type Run = (command: string, ...args: string[]) => Promise<void>;

/** Folders and files of the machine that programs insist on writing, and must not change for the machine. */
async function prepareMounts({ data, runtime }: ClusterNode, run: Run): Promise<void> {
  // The kubelet links containers' logs there.
  await run('mount', '-t', 'tmpfs', 'none', '/var/log');
  await borrowFolders(async (folder, index) => {
    const own = join(runtime, `borrowed-${index}`);
    await mkdir(own, { recursive: true });
    await run('mount', '--bind', own, folder);
  });
  // The path of a socket in it may have 108 bytes, and a home may lie deep.
  for (const folder of [join(data, 'kubelet'), kubeletRoot(runtime)])
    await mkdir(folder, { recursive: true });
  await run('mount', '--bind', join(data, 'kubelet'), kubeletRoot(runtime));
  // Settings that the kubelet makes for the whole machine.
  for (const name of ['vm/overcommit_memory', 'kernel/panic', 'kernel/panic_on_oops']) {
    const copy = join(runtime, name.replace('/', '-'));
    await writeFile(copy, await readFile(`/proc/sys/${name}`));
    await run('mount', '--bind', copy, `/proc/sys/${name}`);
  }
}

async function connect(node: ClusterNode, pid: number, run: Run): Promise<void> {
  const { link, machine, address } = node;
  await execa('ip', [
    ...['link', 'add', link, 'type', 'veth'],
    ...['peer', 'name', 'eth0', 'netns', String(pid)],
  ]);
  await execa('ip', ['address', 'add', `${machine}/30`, 'dev', link]);
  await execa('ip', ['link', 'set', link, 'up']);
  await run('ip', 'link', 'set', 'lo', 'up');
  await run('ip', 'address', 'add', `${address}/30`, 'dev', 'eth0');
  await run('ip', 'link', 'set', 'eth0', 'up');
  // What no rule catches must not leave: the default route ends in an empty bridge.
  await run('ip', 'link', 'add', 'void0', 'type', 'bridge');
  await run('ip', 'link', 'set', 'void0', 'up');
  await run('ip', 'route', 'add', 'default', 'dev', 'void0');
  await run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
  // Without it, pods do not reach a Service that answers from the same bridge. It may be built into the kernel.
  if (!existsSync('/proc/sys/net/bridge')) await execa('modprobe', ['br_netfilter'], { reject: false });
  await run('sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1').catch(() => undefined);
}

/** Removes what outlives the namespaces. They have ended. */
export async function clearNamespaces(node: Pick<ClusterNode, 'link' | 'runtime'>): Promise<void> {
  for (const end = Date.now() + 15_000; existsSync(`/sys/class/net/${node.link}`); await sleep(50)) {
    await execa('ip', ['link', 'delete', node.link], { reject: false });
    if (Date.now() > end) throw new Error(`deleting the network interface "${node.link}": it is still there`);
  }
  await rm(node.runtime, { recursive: true, force: true });
  await returnFolders();
}
