import { messageOf, Refused, SlipwayError } from '../../../../contract/errors.js';
import type { Watch } from '../../index.js';
import { isAnothers, isOutdated, read } from '../apiserver/apply.js';
import { replace } from '../takeover/put.js';
import type { PutBack } from './put-back.js';
import { awaitWorkload } from '../ready.js';
import { readWorkload, replicasOfWorkload, workloadRef, type Workload } from '../objects/scale.js';
import { awaitGone } from '../takeover/settle.js';
import type { Thing } from '../objects/stable.js';

type Live = Workload & { replicas: number; budget: string };

/** Reasons that may be the new replicas' doing. */
const noRoom = new Set(['Unschedulable', 'QuotaExceeded']);

/**
 * Waits for live replicas that were set to their number. Where there is no room because new ones hold it, these make way
 * one by one, each only when what took the place of the one before is ready. When not all become ready, those that are
 * get the traffic, and it is told; with none there is nothing to give it to: throws what is tried again.
 */
export async function bringBack(
  back: PutBack,
  live: Live,
  candidate: Workload,
  watch: Watch,
): Promise<string[]> {
  try {
    await awaitReady(back, live, live.replicas, watch);
  } catch (error) {
    try {
      if (!isForRoom(error)) throw error;
      await exchange(back, live, candidate, watch);
    } catch (again) {
      if (!(again instanceof SlipwayError) || again instanceof Refused) throw again;
      await resize(back, live, live.replicas);
      const ready = await readyOf(back, live);
      // Not final: an undo is tried until it is done.
      if (ready === 0) throw new Error(messageOf(again), { cause: again });
      return [`${ready} of ${live.replicas} replicas of ${live.name} became ready again: ${again.message}`];
    }
  }
  return [];
}

async function exchange(back: PutBack, live: Live, candidate: Workload, watch: Watch): Promise<void> {
  for (let count = Math.max(1, await readyOf(back, live)); count <= live.replicas;) {
    await resize(back, live, count);
    try {
      await awaitReady(back, live, count, watch);
      count += 1;
    } catch (error) {
      const held = replicasOfWorkload(await readWorkload(back.cluster, candidate, watch.signal));
      if (!isForRoom(error) || held === 0) throw error;
      // Pods that a quota refused are asked for again ever more seldom: asked for anew, they come as soon as there is room.
      await resize(back, live, count - 1);
      watch.onProgress({ message: `making room for ${live.name}: ${held - 1} of ${candidate.name} stay` });
      await resize(back, candidate, held - 1);
      await awaitGone(back.cluster, candidate, held - 1, watch);
    }
  }
}

const isForRoom = (error: unknown): boolean =>
  error instanceof SlipwayError && noRoom.has(String(error.details['reason']));

const readyOf = async ({ cluster, signal }: PutBack, workload: Workload): Promise<number> =>
  (await readWorkload(cluster, workload, signal))?.status?.readyReplicas ?? 0;

const awaitReady = (
  { cluster }: PutBack,
  { node: namespace, name, budget }: Live,
  replicas: number,
  watch: Watch,
): Promise<number> => awaitWorkload(cluster, { namespace, name, replicas, budget }, watch);

/** Sets a workload's number of replicas, whoever has fenced it. */
export const resize = (back: PutBack, workload: Workload, replicas: number): Promise<void> =>
  change(back, workload, ({ spec }) =>
    spec?.['replicas'] === replicas ? null : { spec: { ...spec, replicas } },
  );

/** Changes a workload whoever has fenced it: undo comes last. Gone is fine, and another installation's none of ours. */
export async function change(
  { cluster, signal }: PutBack,
  workload: Workload,
  edit: (deployment: Thing) => Parameters<typeof replace>[3] | null,
): Promise<void> {
  for (;;) {
    const now = await read<Thing>(cluster, workloadRef(workload), signal);
    const to = now && !isAnothers(cluster, now) ? edit(now) : null;
    if (now === null || to === null) return;
    try {
      await replace(cluster, 'changing', now, to, signal);
      return;
    } catch (error) {
      if (!isOutdated(error)) throw error;
    }
  }
}
