import type { V1Deployment } from '@kubernetes/client-node';
import { replicasOf, type Strategy } from '../../../../contract/strategy.js';
import type { PlannedTakeover, Takeover, Watch } from '../../index.js';
import type { Cluster } from '../cluster.js';
import { notesOn } from '../objects/by-hand.js';
import { put } from './put.js';
import {
  assertCandidate,
  fullOf,
  heed,
  readWorkload,
  replicasOfWorkload,
  scale,
  wantedReplicas,
} from '../objects/scale.js';
import { awaitGone, awaitReplicas } from './settle.js';
import { budgetOf, serviceOf, stableRef } from '../objects/stable.js';

export type OnShare = (percent: number) => Promise<void>;

/** How many replicas there may be at most, and must be ready at least, while new ones take the place of old ones. */
export type Bounds = { most: number; least: number };

type Rolling = Extract<Strategy, { kind: 'rolling' }>;

/** As Kubernetes has it: when both come to nothing, one may be missing, or nothing could ever move. */
export function boundsOf({ maxSurge, maxUnavailable }: Rolling, wanted: number, full: number): Bounds {
  const surge = replicasOf(maxSurge, wanted, 'up');
  const missing = replicasOf(maxUnavailable, wanted, 'down');
  return {
    most: Math.max(wanted, full) + surge,
    least: Math.max(0, Math.min(wanted, full) - (surge === 0 ? Math.max(1, missing) : missing)),
  };
}

/**
 * The bounds for what there is now. Somebody who has set more live replicas than the new release is to have wants these
 * until it takes over, as far as they have found room: what has found none must not keep new ones from theirs.
 */
function asked(
  strategy: Rolling,
  { wanted, coming, token }: { wanted: number; coming: number; token: number },
  stale: V1Deployment | null,
): Bounds {
  const full = stale === null ? wanted : fullOf(stale, token);
  if (stale === null || full <= wanted || notesOn(stale, token).length === 0)
    return boundsOf(strategy, wanted, full);
  const beside = coming - replicasOf(strategy.maxSurge, wanted, 'up');
  const kept = Math.max(wanted, Math.min(full, (stale.status?.readyReplicas ?? 0) + beside));
  const { most, least } = boundsOf(strategy, wanted, kept);
  return { most, least: least + kept - wanted };
}

/**
 * Replaces the live replicas by new ones, never beyond the bounds: as many new ones as there may be, and when they are
 * ready as many old ones fewer as need not be. Old ones lose their share before they are told to go, and are gone before
 * others take their place. Where it stands is in the cluster: repeated, it goes on from there.
 */
export async function roll(
  cluster: Cluster,
  takeover: Takeover,
  watch: Watch,
  onShare: OnShare,
): Promise<void> {
  const { set, replicas, live, strategy } = takeover;
  const [candidate, old] = [replicas[0]!, live[0]];
  if (strategy.kind !== 'rolling' || !old || old.name === candidate.name) return;
  const { signal } = watch;
  await assertCandidate(cluster, set, candidate, signal);
  await letBothAnswer(cluster, takeover, signal);
  // Marks it, so that whoever sets its number of replicas from now on is found out.
  const before = await readWorkload(cluster, old, signal);
  if (before) await scale(cluster, set.grant, old, replicasOfWorkload(before), signal);
  const wanted = await wantedReplicas(cluster, takeover, signal);
  for (;;) {
    const [fresh, stale] = await Promise.all([
      assertCandidate(cluster, set, candidate, signal),
      heed(cluster, set.grant, old, signal),
    ]);
    const [coming, going] = [replicasOfWorkload(fresh), replicasOfWorkload(stale)];
    const { most, least } = asked(strategy, { wanted, coming, token: set.grant.token }, stale);

    // Also after a worker that died in between: nothing goes before what takes its place is ready.
    await awaitReplicas(cluster, set, candidate, coming, watch);
    const fewer = coming >= wanted ? 0 : Math.max(0, Math.min(going, least - coming));
    await onShare(Math.round((100 * coming) / (coming + fewer)));
    if (fewer < going) {
      const left = await scale(cluster, set.grant, old, fewer, signal, true);
      // Set by somebody else since it was looked at.
      if (replicasOfWorkload(left) > fewer) continue;
    }
    await awaitGone(cluster, old, fewer, watch);
    if (coming >= wanted) return;
    const more = Math.min(wanted, Math.max(coming, most - fewer));
    watch.onProgress({
      message: `${more} new replicas, ${fewer} old ones`,
      done: coming,
      total: wanted,
      unit: 'replicas',
    });
    await scale(cluster, set.grant, candidate, more, signal);
  }
}

/** Clients of the service's own Service reach old and new ones alike; no autoscaler works against what follows. */
export async function letBothAnswer(
  cluster: Cluster,
  takeover: Takeover,
  signal?: AbortSignal,
): Promise<void> {
  const { set, replicas, live } = takeover;
  const [replica, old] = [replicas[0]!, live[0]!];
  const of = { cluster, set, replica };
  await put(cluster, takeover, stableRef('autoscaler', old.node, set.grant.service), null, signal);
  if (old.node !== replica.node) return;
  const behind = { roll: old.name };
  for (const [kind, wanted] of [
    ['service', serviceOf(of, behind)],
    ['budget', budgetOf(of, behind)],
  ] as const)
    await put(cluster, takeover, stableRef(kind, replica.node, set.grant.service), wanted, signal);
}

/**
 * Before the first new replica where none may be added: a live one makes way for it. Nothing else changes hands; undo
 * brings it back.
 */
export async function makeRoom(
  cluster: Cluster,
  { set, strategy, live }: PlannedTakeover,
  watch: Watch,
): Promise<void> {
  const old = live[0];
  if (strategy.kind !== 'rolling' || !old) return;
  const now = await readWorkload(cluster, old, watch.signal);
  if (now === null) return;
  const full = fullOf(now, set.grant.token);
  const wanted = await wantedReplicas(cluster, { set, live }, watch.signal);
  const { most } = boundsOf(strategy, wanted, full);
  if (most > full) return;
  const takeover = { set, strategy, live, replicas: [] };
  await put(cluster, takeover, stableRef('autoscaler', old.node, set.grant.service), null, watch.signal);
  if (replicasOfWorkload(now) >= full) await scale(cluster, set.grant, old, full - 1, watch.signal);
  await awaitGone(cluster, old, full - 1, watch);
}
