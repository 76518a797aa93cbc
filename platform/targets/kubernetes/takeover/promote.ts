import type { Takeover, Watch } from '../../index.js';
import { awaitReplicas } from './settle.js';
import { put } from './put.js';
import type { Cluster } from '../cluster.js';
import { notesOn } from '../objects/by-hand.js';
import { assertCandidate, heed, replicasOfWorkload, scale, wantedReplicas } from '../objects/scale.js';
import {
  canaryIngressRef,
  stableKinds,
  stableObjects,
  stableRef,
  type StableKind,
} from '../objects/stable.js';
import { roll, type OnShare } from './roll.js';
import { undivideRoute } from './http-route.js';

/**
 * Gives the new workload all its replicas and, once they are ready, everything of the service that follows the live
 * release: its Service first, by one change of its selector. Nothing restarts. Repeated, it changes nothing more.
 * Answers what somebody else had set the numbers of replicas to meanwhile.
 * One that is gone back to was not rolled before: nodes may have no more room for it than for any other.
 */
export async function promote(
  cluster: Cluster,
  takeover: Takeover,
  watch: Watch,
  onShare: OnShare = () => Promise.resolve(),
): Promise<string[]> {
  const { set, replicas, live } = takeover;
  const replica = replicas[0]!;
  const { signal } = watch;
  const now = await assertCandidate(cluster, set, replica, signal);
  const wanted = await wantedReplicas(cluster, takeover, signal);
  if (replicasOfWorkload(now) < wanted) {
    await roll(cluster, takeover, watch, onShare);
    await scale(cluster, set.grant, replica, wanted, signal);
  }
  await awaitReplicas(cluster, set, replica, Math.max(wanted, replicasOfWorkload(now)), watch);

  const objects = stableObjects({ cluster, set, replica });
  for (const kind of Object.keys(stableKinds) as StableKind[]) {
    watch.onProgress({ message: `giving ${kind} to ${replica.name}` });
    await put(cluster, takeover, stableRef(kind, replica.node, set.grant.service), objects[kind], signal);
  }
  const traffic = takeover.strategy.kind === 'canary' ? takeover.strategy.traffic : null;
  if (traffic === 'httpRoute') await undivideRoute(cluster, takeover, signal);
  if (traffic === 'nginx')
    await put(cluster, takeover, canaryIngressRef(replica.node, set.grant.service), null, signal);
  const workloads = await Promise.all(
    [...live, replica].map((workload) => heed(cluster, set.grant, workload, signal)),
  );
  return workloads.flatMap((workload) => (workload ? notesOn(workload, set.grant.token) : []));
}
