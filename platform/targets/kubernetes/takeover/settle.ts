import type { V1Pod } from '@kubernetes/client-node';
import type { ReplicaSet, Watch } from '../../index.js';
import type { Cluster } from '../cluster.js';
import { Observer } from '../apiserver/observer.js';
import { awaitWorkload } from '../ready.js';
import type { Workload } from '../objects/scale.js';
import { deploymentNamed, podsOf } from '../apiserver/selections.js';

/** Waits until so many replicas of a new workload are ready. Throws `RolloutFailed` as `awaitWorkload` does. */
export const awaitReplicas = (
  cluster: Cluster,
  { spec }: Pick<ReplicaSet, 'spec'>,
  { node, name }: Workload,
  replicas: number,
  watch: Watch,
): Promise<number> =>
  awaitWorkload(cluster, { namespace: node, name, replicas, budget: spec.verify.startupBudget }, watch);

/**
 * Waits until a workload has no more than so many pods, those that are ending counted: what they hold is free then,
 * and their requests are answered. Returns too when somebody wants more of them by now: there is nothing to wait for.
 */
export async function awaitGone(
  cluster: Cluster,
  { node, name }: Workload,
  replicas: number,
  { onProgress, signal }: Watch,
): Promise<void> {
  const observer = new Observer(cluster, `waiting for pods of "${name}" to end`, signal);
  try {
    const pods = observer.follow(podsOf(node, name));
    const deployments = observer.follow(deploymentNamed(node, name));
    for await (const _ of observer.changes(1_000)) {
      const left = pods.all().filter(isThere).length;
      if (pods.synced && !pods.away && left <= replicas) return;
      if (deployments.all().some(({ spec }) => (spec?.replicas ?? 1) > replicas)) return;
      onProgress({ message: `waiting for ${left - replicas} pods of ${name} to end` });
    }
  } finally {
    await observer.close();
  }
}

const isThere = ({ status }: V1Pod): boolean => status?.phase !== 'Succeeded' && status?.phase !== 'Failed';
