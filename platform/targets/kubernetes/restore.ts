import { messageOf, SlipwayError } from '../../../contract/errors.js';
import type { Grant } from '../../../contract/pipeline.js';
import type { Watch } from '../index.js';
import { isOutdated, nameOf, read } from './apply.js';
import type { Cluster } from './cluster.js';
import { annotations } from './labels.js';
import type { Thing } from './stable.js';
import { putBack, type PutBack } from './put-back.js';
import { replace } from './put.js';
import { awaitWorkload } from './ready.js';
import { readWorkload, replicasOfWorkload, workloadRef, type Workload } from './scale.js';
import { awaitGone } from './settle.js';
import { Snapshot } from './traffic.js';

/**
 * Undo of a takeover, from what was written down before it: the live workload is back in number and ready, then has
 * its traffic back, whatever had become of it. Safe to repeat and to race with a late attempt under the same grant:
 * everything is fenced before it returns. Answers what somebody else had changed meanwhile.
 */
export async function restore(
  cluster: Cluster,
  grant: Grant,
  before: unknown,
  watch: Watch,
): Promise<string[]> {
  const { objects, live, candidate } = Snapshot.parse(before);
  const back: PutBack = { cluster, grant, signal: watch.signal };
  const notes: string[] = [];
  await fence(back, candidate);
  if (await isPast(back, objects, live, candidate)) return [];
  // The autoscaler first: that of the new release would work against what follows.
  const [autoscalers, others] = [true, false].map((wanted) =>
    objects.filter(({ ref }) => (ref.kind === 'HorizontalPodAutoscaler') === wanted),
  ) as [typeof objects, typeof objects];
  const scaled = autoscalers.some(({ was }) => was !== null);
  for (const recorded of autoscalers) notes.push(...(await putBack(back, recorded)));
  if (live) {
    const now = await readWorkload(cluster, live, watch.signal);
    // An autoscaler may have added some; it takes them away again.
    const replicas = scaled ? Math.max(live.replicas, replicasOfWorkload(now)) : live.replicas;
    notes.push(...(await putBack(back, live.recorded, { replicas, scaled })));
    notes.push(...(await awaitLive(back, { ...live, replicas, budget: budgetOf(live) }, candidate, watch)));
  }
  for (const recorded of others) {
    watch.onProgress({ message: `putting back ${nameOf(recorded.ref)}` });
    notes.push(...(await putBack(back, recorded)));
  }
  if (candidate.replicas !== null) await resize(back, candidate, candidate.replicas);
  return notes;
}

/**
 * Whether a later deployment has taken over since, or both workloads are gone: an undo that comes so late is that of an
 * attempt presumed dead, and there is nothing left for it to put back.
 */
async function isPast(
  { cluster, grant, signal }: PutBack,
  objects: Snapshot['objects'],
  live: Snapshot['live'],
  candidate: Workload,
): Promise<boolean> {
  const services = objects.filter(({ ref }) => ref.kind === 'Service');
  const now = await Promise.all(services.map(({ ref }) => read<Thing>(cluster, ref, signal)));
  const changed = now.map((object) => Number(object?.metadata?.annotations?.[annotations.changed] ?? 0));
  if (Math.max(0, ...changed) > grant.token) return true;
  if (live === null) return false;
  const workloads = await Promise.all([live, candidate].map((one) => readWorkload(cluster, one, signal)));
  return workloads.every((one) => one === null);
}

/** The new workload must not get traffic any more, not even by objects that are not there now. */
async function fence(back: PutBack, candidate: Workload): Promise<void> {
  await change(back, candidate, ({ metadata }) => {
    const by = Number(metadata.annotations?.[annotations.fence] ?? 0);
    if (by >= back.grant.token) return false;
    metadata.annotations = { ...metadata.annotations, [annotations.fence]: String(back.grant.token) };
    return true;
  });
}

const resize = (back: PutBack, workload: Workload, replicas: number): Promise<void> =>
  change(back, workload, ({ spec }) => {
    if (spec?.['replicas'] === replicas) return false;
    spec!['replicas'] = replicas;
    return true;
  });

/** Changes a workload whoever has fenced it: undo comes last. Gone is fine. */
async function change(
  { cluster, signal }: PutBack,
  workload: Workload,
  edit: (deployment: Thing) => boolean,
): Promise<void> {
  for (;;) {
    const now = await read<Thing>(cluster, workloadRef(workload), signal);
    if (now === null || !edit(now)) return;
    try {
      await replace(cluster, 'changing', now, signal);
      return;
    } catch (error) {
      if (!isOutdated(error)) throw error;
    }
  }
}

/**
 * Waits for the live replicas. Where there is no room because new ones hold it, these make way one by one. When not
 * all become ready, those that are get the traffic; with none there is nothing to give it to, and it is tried again.
 */
async function awaitLive(
  back: PutBack,
  live: Workload & { replicas: number; budget: string },
  candidate: Workload,
  watch: Watch,
): Promise<string[]> {
  const { cluster } = back;
  for (;;) {
    try {
      const { node: namespace, name, replicas } = live;
      await awaitWorkload(cluster, { namespace, name, replicas, budget: live.budget }, watch);
      return [];
    } catch (error) {
      if (!(error instanceof SlipwayError)) throw error;
      const held = replicasOfWorkload(await readWorkload(cluster, candidate, watch.signal));
      if (noRoom.has(String(error.details['reason'])) && held > 0) {
        watch.onProgress({ message: `making room for ${live.name}: ${held - 1} of ${candidate.name} stay` });
        await resize(back, candidate, held - 1);
        await awaitGone(cluster, candidate, held - 1, watch);
        continue;
      }
      const ready = (await readWorkload(cluster, live, watch.signal))?.status?.readyReplicas ?? 0;
      // Not final: an undo is tried until it is done.
      if (ready === 0) throw new Error(messageOf(error), { cause: error });
      return [`${ready} of ${live.replicas} replicas of ${live.name} became ready again: ${error.message}`];
    }
  }
}

/** Reasons that may be the new replicas' doing. */
const noRoom = new Set(['Unschedulable', 'QuotaExceeded']);

/** They were ready before; it may take as long as their Deployment says. */
const budgetOf = ({ recorded }: NonNullable<Snapshot['live']>): string =>
  `${Number(recorded.was?.spec['progressDeadlineSeconds'] ?? 600)}s`;
