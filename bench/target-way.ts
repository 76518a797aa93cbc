import { milliseconds } from '../contract/quantities.js';
import type { ServeSpec } from '../contract/deploy.js';
import type { ImageRef } from '../contract/names.js';
import type { ClusterConfig, Stack } from '../contract/stack.js';
import type { ReplicaSet } from '../platform/targets/index.js';
import type { Watch } from '../platform/targets/index.js';
import { kubernetesTarget } from '../platform/targets/kubernetes/index.js';

/** One way to roll out one and the same set of objects, again and again. */
export type RolloutWay = {
  /** Returns when the Deployment is known to be ready. */
  start: () => Promise<void>;
  remove: () => Promise<void>;
};

export type Wanted = { name: string; image: ImageRef; spec: ServeSpec };

const silent: Watch = { onProgress: () => undefined, signal: new AbortController().signal };

/** A first release's set, whose installation, model and service have that name. */
export const setOf = ({ name, image, spec }: Wanted): ReplicaSet => ({
  grant: { service: name, token: 1, deployment: { workflowId: name, runId: name } },
  release: `${name}.r1`,
  model: name,
  image,
  spec,
  role: 'serve',
});

/** What the rollout activity does, as an installation of its own: workers of the stack see nothing of it. */
export function targetWay(
  { registry, allowPickle, drain }: Pick<Stack, 'registry' | 'allowPickle' | 'drain'>,
  config: ClusterConfig,
  wanted: Wanted,
): RolloutWay {
  const target = kubernetesTarget({
    ...{ config, stack: wanted.name, allowPickle, credentials: registry },
    drain: milliseconds(drain),
  });
  const set = setOf(wanted);
  const planned = target.place(set);
  return {
    start: async () => {
      await target.pull(set, silent);
      const replicas = [];
      for (const one of planned) replicas.push(await target.start(set, one, silent));
      await target.awaitReady(set, replicas, silent);
    },
    remove: async () => {
      for (const one of planned) await target.remove(one, 0);
    },
  };
}
