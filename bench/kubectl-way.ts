import { mkdtemp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { KubernetesObject } from '@kubernetes/client-node';
import { execa } from 'execa';
import { stringify } from 'yaml';
import { kube } from '../infra/local/tools/kube.js';
import { getTool } from '../infra/local/tools/tool.js';
import type { RolloutWay } from './target-way.js';

/**
 * `kubectl apply` and then `kubectl rollout status`, on a file of these objects. Remembers in `home` what it learns of the
 * cluster. `startUp` measures how many seconds the program takes that does nothing.
 */
export async function kubectlWay(
  program: string | undefined,
  kubeconfig: string,
  home: string,
  objects: KubernetesObject[],
): Promise<RolloutWay & { version: string; startUp: () => Promise<number> }> {
  const command = program ?? (await ownKubectl());
  const folder = await mkdtemp(join(home, 'kubectl-'));
  const file = join(folder, 'objects.yaml');
  await writeFile(file, objects.map((object) => stringify(object)).join('---\n'), { mode: 0o600 });
  const deployment = objects.find(({ kind }) => kind === 'Deployment')?.metadata;
  if (!deployment) throw new Error('no Deployment among the objects');
  const namespace = `--namespace=${deployment.namespace}`;
  const kubectl = async (...args: string[]): Promise<string> => {
    const env = { KUBECONFIG: kubeconfig, KUBECACHEDIR: join(folder, 'cache') };
    return (await execa(command, args, { env, stdin: 'ignore' })).stdout;
  };
  return {
    version: `${command}, ${/v[\d.]+/.exec(await kubectl('version', '--client'))?.[0] ?? 'of an unknown version'}`,
    startUp: async () => {
      const began = performance.now();
      await kubectl('version', '--client');
      return (performance.now() - began) / 1000;
    },
    start: async () => {
      await kubectl('apply', '-f', file);
      await kubectl('rollout', 'status', namespace, `deployment/${deployment.name}`, '--timeout=5m');
    },
    remove: async () => {
      await kubectl('delete', '-f', file, '--cascade=foreground', '--timeout=5m');
    },
  };
}

/** The one that came with the local cluster, and fits it. */
async function ownKubectl(): Promise<string> {
  return join(dirname(await getTool(kube, () => undefined, new AbortController().signal)), 'kubectl');
}
