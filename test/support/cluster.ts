import { dirname, join } from 'node:path';
import type { Stack } from '../../contract/stack.js';
import { forward, type Forward } from '../../infra/local/kubernetes/forward.js';
import { controlPlane, type ControlPlane } from './control-plane.js';
import { runHome, testStack, toolPath } from './stack.js';

export type TestCluster = ControlPlane & {
  stack: Stack;
  /** Makes a port of this machine's loopback reachable for pods; close it at the end. */
  expose: (port: number) => Promise<Forward>;
};

/** The cluster of the one stack that the test run started. Importing this file makes the run start it. */
export async function testCluster(): Promise<TestCluster> {
  const stack = await testStack();
  const { cluster: config } = stack;
  if (!config?.kubeconfig) throw new Error('the stack of this run has no Kubernetes cluster');
  const { kubeconfig } = config;
  const kubectl = join(await clusterPrograms(), 'kubectl');
  return {
    ...controlPlane({ config, kubeconfig, kubectl, cache: join(runHome.run, 'kubectl') }),
    stack,
    expose: (port) => forward(config.registry.replace(/:\d+$/, ''), 0, port),
  };
}

/** Folder of the programs that the cluster consists of. */
export const clusterPrograms = async (): Promise<string> => dirname(await toolPath('kube'));
