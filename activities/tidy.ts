import { milliseconds } from '../contract/quantities.js';
import type { Replica } from '../contract/pipeline.js';
import type { ServiceRecord } from '../contract/service.js';
import { allTargets, type Platform } from '../platform/open.js';
import { retainImagesOf } from '../platform/retention.js';
import type { ReplicaState } from '../platform/targets/index.js';
import { persist } from './attend.js';

/**
 * Tidying: what neither serves nor belongs to a deployment under way is drained and removed, and nodes keep
 * only images one may want to go back to. Safe at any time and any number of times. Answers in how many milliseconds
 * there will be more to tidy, or null.
 */
export const tidyActivities = (platform: Platform) => ({
  tidy: (service: string): Promise<number | null> =>
    persist(async ({ onProgress }) => {
      const { catalog, stack } = platform;
      const record = await catalog.getService(service);
      const route = await catalog.getRoute(service);
      const kept = await catalog.keptReplicas(service);
      const needed = new Set(
        [
          ...(route?.replicas ?? []),
          ...(route?.canary?.replicas ?? []),
          ...kept.flatMap(({ replicas, expired }) => (expired ? [] : replicas)),
        ].map(place),
      );
      const grace = milliseconds(stack.drain);
      await Promise.all(
        allTargets(platform).map(async (target) => {
          const stale = (await target.list({ service })).filter(
            (replica) => !needed.has(place(replica)) && isPast(replica, record),
          );
          await Promise.all(
            stale.map(async (replica) => {
              onProgress({ message: `draining ${replica.name}` });
              await target.remove(replica, grace);
            }),
          );
          // A deployment under way may be about to move the service here.
          if (record?.holder === null) await target.withdraw(service, route?.replicas ?? []);
        }),
      );
      await retainImagesOf(platform, service);
      const later = kept.flatMap(({ expired, remaining }) => (expired ? [] : [remaining]));
      return later.length > 0 ? Math.min(...later) : null;
    }),
});

const place = ({ node, name }: Pick<Replica, 'node' | 'name'>): string => `${node}/${name}`;

/** A deployment that began after the record was read has a higher token: its replicas are left alone. */
function isPast({ token, role }: ReplicaState, record: ServiceRecord | null): boolean {
  if (role === 'pin' || record === null) return false;
  return record.holder === null ? token <= record.token : token < record.token;
}
