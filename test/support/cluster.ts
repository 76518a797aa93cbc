import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { execa } from 'execa';
import type { ClusterConfig, Stack } from '../../contract/stack.js';
import { findHome } from '../../infra/local/home.js';
import { forward, type Forward } from '../../infra/local/kubernetes/forward.js';
import { holdFile } from '../../infra/local/kubernetes/node.js';
import { partPid } from '../../infra/local/kubernetes/part-process.js';
import type { PartName } from '../../infra/local/kubernetes/parts.js';
import { hasEnded, signalProcess, startTime } from '../../infra/local/processes.js';
import { testStack, toolPath } from './stack.js';

export type { PartName };

export type TestCluster = {
  stack: Stack;
  config: ClusterConfig;
  /** Path of the administrator's kubeconfig. */
  kubeconfig: string;
  /** A fresh one for `@kubernetes/client-node`. */
  kubeConfig: () => KubeConfig;
  /** Runs kubectl; answers what it prints, throws an error with what it says when it fails. */
  kubectl: (args: string[], options?: { input?: string }) => Promise<string>;
  /** Makes a port of this machine's loopback reachable for pods; close it at the end. */
  expose: (port: number) => Promise<Forward>;
};

/** The cluster of the one stack that the test run started. Importing this file makes the run start it. */
export async function testCluster(): Promise<TestCluster> {
  const stack = await testStack();
  const { cluster: config } = stack;
  if (!config?.kubeconfig) throw new Error('the stack of this run has no Kubernetes cluster');
  const { kubeconfig } = config;
  const kubectlPath = join(await clusterPrograms(), 'kubectl');
  return {
    stack,
    config,
    kubeconfig,
    kubeConfig: () => {
      const loaded = new KubeConfig();
      loaded.loadFromString(readFileSync(kubeconfig, 'utf8'));
      return loaded;
    },
    kubectl: async (args, { input } = {}) => {
      const { stdout } = await execa(kubectlPath, args, {
        // What it keeps of the API would lie in the user's home.
        env: { KUBECONFIG: kubeconfig, KUBECACHEDIR: join(findHome().run, 'kubectl') },
        ...(input === undefined ? { stdin: 'ignore' } : { input }),
      });
      return stdout;
    },
    expose: (port) => forward(config.registry.replace(/:\d+$/, ''), 0, port),
  };
}

/** Folder of the programs that the cluster consists of. */
export const clusterPrograms = async (): Promise<string> => dirname(await toolPath('kube'));

/**
 * Sends a real signal to one program of the node. After one that ends it, waits for its end; it is started again
 * within a second. SIGSTOP freezes it, SIGCONT thaws it.
 */
export async function killPart(name: PartName, signal: NodeJS.Signals): Promise<void> {
  const pid = await partPid(findHome(), name);
  const start = pid === null ? null : await startTime(pid);
  if (pid === null || start === null) throw new Error(`killing "${name}": it does not run`);
  await signalProcess({ pid, start }, signal);
  if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
  if (!(await hasEnded({ pid, start }, 30_000))) throw new Error(`"${name}" is there 30 s after ${signal}`);
}

/** Kills a part and keeps it away until {@link releasePart}. */
export async function holdPart(name: PartName): Promise<void> {
  await writeFile(holdFile(findHome().nodeRuntime, name), '');
  if ((await partPid(findHome(), name)) !== null) await killPart(name, 'SIGKILL');
}

/** Lets it come back; waits until it runs. */
export async function releasePart(name: PartName): Promise<void> {
  await rm(holdFile(findHome().nodeRuntime, name), { force: true });
  for (const end = Date.now() + 30_000; (await partPid(findHome(), name)) === null; await sleep(50))
    if (Date.now() > end) throw new Error(`"${name}" does not run 30 s after it was released`);
}
