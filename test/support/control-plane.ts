import { readFileSync } from 'node:fs';
import { KubeConfig } from '@kubernetes/client-node';
import { execa } from 'execa';
import type { ClusterConfig } from '../../contract/stack.js';

/** A Kubernetes control plane that tests work with, whatever its nodes are. */
export type ControlPlane = {
  config: ClusterConfig;
  /** Path of the administrator's kubeconfig. */
  kubeconfig: string;
  /** A fresh one for `@kubernetes/client-node`. */
  kubeConfig: () => KubeConfig;
  /** Runs kubectl; answers what it prints, throws an error with what it says when it fails. */
  kubectl: (args: string[], options?: { input?: string }) => Promise<string>;
};

type Parts = {
  config: ClusterConfig;
  kubeconfig: string;
  /** Path of kubectl, and of a folder for what it keeps of the API, which would lie in the user's home. */
  kubectl: string;
  cache: string;
};

export const controlPlane = ({ config, kubeconfig, kubectl, cache }: Parts): ControlPlane => ({
  config,
  kubeconfig,
  kubeConfig: () => {
    const loaded = new KubeConfig();
    loaded.loadFromString(readFileSync(kubeconfig, 'utf8'));
    return loaded;
  },
  kubectl: async (args, { input } = {}) => {
    const { stdout } = await execa(kubectl, args, {
      env: { KUBECONFIG: kubeconfig, KUBECACHEDIR: cache },
      ...(input === undefined ? { stdin: 'ignore' } : { input }),
    });
    return stdout;
  },
});
