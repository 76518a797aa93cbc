import { setTimeout as sleep } from 'node:timers/promises';
import type { Berth } from './berth.js';

/** How many pods there were at a time, and how many of them were ready. */
export type Seen = { there: number; ready: number };

/** Looks at the pods of these workloads as often as it can while something goes on. */
export async function watching(
  berth: Berth,
  workloads: string[],
  work: () => Promise<void>,
): Promise<Seen[]> {
  const seen: Seen[] = [];
  let over = false;
  const looking = (async () => {
    while (!over) {
      const { items } = await berth.cluster.core.listNamespacedPod({
        namespace: berth.name,
        labelSelector: `slipway.dev/workload in (${workloads.join(',')})`,
      });
      const ready = items.filter(
        ({ metadata, status }) =>
          metadata?.deletionTimestamp === undefined &&
          status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
      );
      // One whose containers have ended holds nothing any more.
      const there = items.filter(({ status }) => !['Succeeded', 'Failed'].includes(status?.phase ?? ''));
      seen.push({ there: there.length, ready: ready.length });
      await sleep(50);
    }
  })();
  try {
    await work();
  } finally {
    over = true;
    await looking;
  }
  return seen;
}
