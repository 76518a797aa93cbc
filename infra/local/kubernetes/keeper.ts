import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../../contract/errors.js';
import { ownerVariable } from '../processes.js';
import { createCgroup, removeCgroups } from './cgroups.js';
import { ask } from './client.js';
import { writeNodeFiles } from './files.js';
import { forward, type Forward } from './forward.js';
import { clearNamespaces, createNamespaces, inNode, type Namespaces } from './namespaces.js';
import { holdFile, type ClusterNode } from './node.js';
import { importPause } from './pause-image.js';
import { partsOf, type Part } from './parts.js';

/**
 * Keeps the node until `signal`: makes its namespaces, starts every part in them, starts again what ends, and makes
 * the node anew when its namespaces end. Leaves nothing outside of `data`.
 */
export async function keepNode(node: ClusterNode, signal: AbortSignal): Promise<void> {
  let registry: Forward | undefined;
  try {
    for (;;) {
      await clearNode(node);
      if (signal.aborted) return;
      try {
        await writeNodeFiles(node);
        await createCgroup(node.cgroup);
        const namespaces = await createNamespaces(node, environment(node, 'holder'));
        registry ??= await forward(node.machine, node.registry, node.registry);
        await live(node, namespaces, signal);
      } catch (error) {
        say(`${messageOf(error)}; making the node anew`);
      }
      if (!signal.aborted) await sleep(500);
    }
  } finally {
    await registry?.close();
  }
}

/** Removes what a node that has ended left. */
export async function clearNode(node: Pick<ClusterNode, 'link' | 'runtime' | 'cgroup'>): Promise<void> {
  await clearNamespaces(node);
  await removeCgroups(node.cgroup);
}

/** Runs the parts until `signal`, or until the namespaces end. */
async function live(node: ClusterNode, { pid, holder }: Namespaces, signal: AbortSignal): Promise<void> {
  const ended = new AbortController();
  const gone = once(holder, 'exit');
  void gone.then(() => ended.abort());
  const stop = (): void => void holder.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const keeping: Promise<void>[] = [];
  try {
    const parts = partsOf(node);
    const keep = (part: Part): void => void keeping.push(keepPart(node, part, pid, ended.signal));
    parts.filter(({ afterApi }) => !afterApi).forEach(keep);
    await Promise.all([
      until(() => importPause(node), ended.signal),
      until(() => ask(`https://${node.address}:6443/readyz`, node, AbortSignal.timeout(3_000)), ended.signal),
    ]);
    parts.filter(({ afterApi }) => afterApi).forEach(keep);
    await gone;
  } finally {
    holder.kill('SIGKILL');
    await gone;
    await Promise.all(keeping);
    signal.removeEventListener('abort', stop);
  }
  if (!signal.aborted) throw new Error('the namespaces of the node have ended');
}

/** Runs one part again and again. One that keeps ending is started once a second. */
async function keepPart(node: ClusterNode, part: Part, pid: number, ended: AbortSignal): Promise<void> {
  for (let pause = 100; !ended.aborted; pause = Math.min(pause * 2, 1_000)) {
    while (existsSync(holdFile(node.runtime, part.name)) && !ended.aborted) await sleep(50);
    if (ended.aborted) return;
    const since = Date.now();
    const how = await runPart(node, part, pid).catch(messageOf);
    if (ended.aborted) return;
    say(`${part.name} ended (${how}); starting it again`);
    if (Date.now() - since > 10_000) pause = 100;
    await sleep(pause);
  }
}

async function runPart(node: ClusterNode, part: Part, pid: number): Promise<string> {
  const path = join(node.logs, `kubernetes-${part.name}.log`);
  await rotate(path);
  const log = await open(path, 'a', 0o600);
  try {
    // Through a shell: nsenter stops itself when its child is stopped, and would stay so when that goes on again.
    const child = spawn(...inNode(pid, 'sh', ['-c', '"$@" & wait $!', 'sh', part.program, ...part.args]), {
      env: environment(node, part.name),
      stdio: ['ignore', log.fd, log.fd],
    });
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    return `status ${code ?? signal}`;
  } finally {
    await log.close();
  }
}

/** Nothing of the user's: etcd and others read variables, and the API is not reached through a proxy. */
function environment(node: ClusterNode, part: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) =>
    /^(HOME|LANG|TZ|TMPDIR|SLIPWAY_.*)$/.test(name),
  );
  return {
    ...Object.fromEntries(kept),
    PATH: `${node.programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    [ownerVariable]: `${node.owner}/${part}`,
  };
}

async function until(act: () => Promise<unknown>, ended: AbortSignal): Promise<void> {
  while (!ended.aborted)
    try {
      await act();
      return;
    } catch {
      await sleep(100);
    }
}

async function rotate(path: string): Promise<void> {
  const { size } = await stat(path).catch(() => ({ size: 0 }));
  if (size > 20 * 2 ** 20) await rename(path, `${path}.1`);
}

function say(text: string): void {
  process.stdout.write(`${new Date().toISOString()} ${text}\n`);
}
