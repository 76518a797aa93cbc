import type { Grant } from '../../../../contract/pipeline.js';
import type { Watch } from '../../index.js';
import { isAnothers, nameOf, read, type ObjectRef } from '../apiserver/apply.js';
import { bringBack, change, resize } from './bring-back.js';
import { lossOf } from '../apiserver/namespace.js';
import type { Cluster } from '../cluster.js';
import { annotations } from '../objects/labels.js';
import type { Thing } from '../objects/stable.js';
import { leftAlone, putBack, type PutBack } from './put-back.js';
import { removeExactly } from '../takeover/put.js';
import { readWorkload, replicasOfWorkload, type Workload } from '../objects/scale.js';
import { Snapshot } from '../takeover/traffic.js';

/**
 * Undo of a takeover, from what was written down before it: the live workload is back in number and ready, then has
 * its traffic back, whatever had become of it. Safe to repeat and to race with a late attempt under the same grant:
 * everything is fenced before it returns. What was in a namespace that is gone is not made again. Answers what somebody
 * else had changed meanwhile.
 */
export async function restore(
  cluster: Cluster,
  grant: Grant,
  before: unknown,
  watch: Watch,
): Promise<string[]> {
  const back: PutBack = { cluster, grant, signal: watch.signal };
  const { objects, live, candidate, isThere, notes } = await whatIsLeft(back, Snapshot.parse(before));
  if (isThere(candidate)) await fence(back, candidate);
  const workloads = live ? [live, candidate].filter(isThere) : [];
  if (await isPast(back, objects, workloads)) return notes;
  const [autoscalers, others] = [true, false].map((wanted) =>
    objects.filter(({ ref }) => (ref.kind === 'HorizontalPodAutoscaler') === wanted),
  ) as [typeof objects, typeof objects];
  for (const { ref } of autoscalers) await removeOfCandidate(back, ref, candidate);
  const scaled = autoscalers.some(({ was }) => was !== null);
  if (live) {
    const now = await readWorkload(cluster, live, watch.signal);
    // An autoscaler may have added some; it takes them away again.
    const replicas = scaled ? Math.max(live.replicas, replicasOfWorkload(now)) : live.replicas;
    notes.push(...(await putBack(back, live.recorded, { replicas, scaled })));
    const budget = `${Number(live.recorded.was?.spec['progressDeadlineSeconds'] ?? 600)}s`;
    notes.push(...(await bringBack(back, { ...live, replicas, budget }, candidate, watch)));
    // Bringing it back step by step has changed it once more.
    await putBack(back, live.recorded, { replicas, scaled });
  }
  for (const recorded of [...others, ...autoscalers]) {
    watch.onProgress({ message: `putting back ${nameOf(recorded.ref)}` });
    notes.push(...(await putBack(back, recorded)));
  }
  if (candidate.replicas !== null && isThere(candidate)) await resize(back, candidate, candidate.replicas);
  return notes;
}

/**
 * A snapshot without what was in namespaces that are gone or on their way out, and without a live workload in whose place
 * another installation has one by now; a text for each of these.
 */
async function whatIsLeft({ cluster, signal }: PutBack, { objects, live, candidate }: Snapshot) {
  const placed = objects.map((recorded) => ({ recorded, node: recorded.ref.metadata.namespace }));
  const names = [...new Set([candidate, ...(live ? [live] : []), ...placed].map(({ node }) => node))];
  const losses = await Promise.all(names.map((name) => lossOf(cluster, name, signal)));
  const isThere = ({ node }: { node: string }) => losses[names.indexOf(node)] === null;
  const notes = losses.flatMap((loss) =>
    loss === null ? [] : [`${loss}, and with it what was to be put back`],
  );
  const isLost = live && isThere(live) && isAnothers(cluster, await readWorkload(cluster, live, signal));
  if (isLost) notes.push(leftAlone(live.recorded.ref));
  return {
    objects: placed.filter(isThere).map(({ recorded }) => recorded),
    live: live && isThere(live) && !isLost ? live : null,
    candidate,
    isThere,
    notes,
  };
}

/**
 * Whether a later deployment has taken over since, or both workloads are gone: an undo that comes so late is that of an
 * attempt presumed dead, and there is nothing left for it to put back.
 */
async function isPast(
  { cluster, grant, signal }: PutBack,
  objects: Snapshot['objects'],
  workloads: Workload[],
): Promise<boolean> {
  const services = objects.filter(({ ref }) => ref.kind === 'Service');
  const now = await Promise.all(services.map(({ ref }) => read<Thing>(cluster, ref, signal)));
  // Tokens of another installation have nothing to do with ours.
  const ours = now.filter((object) => !isAnothers(cluster, object));
  const changed = ours.map((object) => Number(object?.metadata?.annotations?.[annotations.changed] ?? 0));
  if (Math.max(0, ...changed) > grant.token) return true;
  const left = await Promise.all(workloads.map((one) => readWorkload(cluster, one, signal)));
  return left.length > 0 && left.every((one) => one === null);
}

/** The new workload must not get traffic any more, not even by objects that are not there now. */
const fence = (back: PutBack, candidate: Workload): Promise<void> =>
  change(back, candidate, ({ metadata }) => {
    const by = Number(metadata.annotations?.[annotations.fence] ?? 0);
    if (by >= back.grant.token) return null;
    return { annotations: { ...metadata.annotations, [annotations.fence]: String(back.grant.token) } };
  });

/** The new release's autoscaler would work against what follows. */
async function removeOfCandidate(
  { cluster, grant, signal }: PutBack,
  ref: ObjectRef,
  candidate: Workload,
): Promise<void> {
  for (;;) {
    const now = await read<Thing>(cluster, ref, signal);
    const scaled = now?.spec?.['scaleTargetRef'] as { name?: string } | undefined;
    if (now === null || isAnothers(cluster, now) || scaled?.name !== candidate.name) return;
    if (Number(now.metadata.annotations?.[annotations.changed]) !== grant.token) return;
    if (await removeExactly(cluster, now, signal)) return;
  }
}
