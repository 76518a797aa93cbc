import { readdir, readFile } from 'node:fs/promises';
import type { V1Pod } from '@kubernetes/client-node';

/**
 * Sends a real signal to everything that a pod's containers run on this machine: SIGKILL ends them, SIGSTOP freezes
 * them, SIGCONT thaws them. What holds the pod's namespaces is left alone.
 */
export async function signalPod({ metadata }: V1Pod, signal: NodeJS.Signals): Promise<void> {
  const uid = metadata!.uid!;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  let found = 0;
  for (const pid of pids) {
    const [groups, command] = await Promise.all(
      ['cgroup', 'cmdline'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
    );
    // Who drives control groups through systemd writes no hyphens.
    if (!groups!.replaceAll('_', '-').includes(uid) || command!.startsWith('/pause')) continue;
    process.kill(Number(pid), signal);
    found += 1;
  }
  if (found === 0) throw new Error(`pod "${metadata?.name}" runs nothing on this machine`);
}
