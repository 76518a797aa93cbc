import type { Takeover, Watch } from '../../index.js';
import type { Cluster } from '../cluster.js';
import { divideRoute } from './http-route.js';
import { put } from './put.js';
import { letBothAnswer } from './roll.js';
import {
  assertCandidate,
  fullOf,
  readWorkload,
  replicasOfWorkload,
  scale,
  wantedReplicas,
} from '../objects/scale.js';
import { awaitGone, awaitReplicas } from './settle.js';
import { canaryIngressOf, canaryIngressRef } from '../objects/stable.js';

/** Makes the new workload as large as `weight` percent of the traffic need, and divides what does not come through gateways. */
export async function share(
  cluster: Cluster,
  takeover: Takeover,
  weight: number,
  watch: Watch,
): Promise<void> {
  const { set, replicas, live, strategy } = takeover;
  const [candidate, old] = [replicas[0]!, live[0]];
  const { signal } = watch;
  if (strategy.kind !== 'canary' || !old) return;
  const now = replicasOfWorkload(await assertCandidate(cluster, set, candidate, signal));
  const wanted = await wantedReplicas(cluster, takeover, signal);
  const coming = Math.max(1, Math.ceil((wanted * weight) / 100), now);
  if (coming > now) await scale(cluster, set.grant, candidate, coming, signal);
  await awaitReplicas(cluster, set, candidate, coming, watch);
  switch (strategy.traffic) {
    case 'gateway':
      return;
    case 'httpRoute':
      return await divideRoute(cluster, takeover, weight, signal);
    case 'nginx':
      return await put(
        cluster,
        takeover,
        canaryIngressRef(candidate.node, set.grant.service),
        canaryIngressOf({ cluster, set, replica: candidate }, weight),
        signal,
      );
    case 'replicas': {
      const stale = await readWorkload(cluster, old, signal);
      if (stale === null || old.node !== candidate.node) return;
      await letBothAnswer(cluster, takeover, signal);
      // Connections are spread evenly over pods: their numbers are the ratio, as near as they come to it.
      const staying = Math.max(1, Math.round((coming * (100 - weight)) / weight));
      const fewer = Math.min(fullOf(stale, set.grant.token), staying);
      await scale(cluster, set.grant, old, fewer, signal);
      // Fewer replicas of the live release must not get what more of them got.
      await awaitGone(cluster, old, fewer, watch);
    }
  }
}
