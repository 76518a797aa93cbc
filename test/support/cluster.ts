import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { execa } from 'execa';
import type { ClusterConfig, Stack } from '../../contract/stack.js';
import { forward, type Forward } from '../../infra/local/kubernetes/forward.js';
import { runHome, testStack, toolPath } from './stack.js';

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
        env: { KUBECONFIG: kubeconfig, KUBECACHEDIR: join(runHome.run, 'kubectl') },
        ...(input === undefined ? { stdin: 'ignore' } : { input }),
      });
      return stdout;
    },
    expose: (port) => forward(config.registry.replace(/:\d+$/, ''), 0, port),
  };
}

/** Folder of the programs that the cluster consists of. */
export const clusterPrograms = async (): Promise<string> => dirname(await toolPath('kube'));
