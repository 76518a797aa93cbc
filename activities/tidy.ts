import { milliseconds } from '../contract/quantities.js';
import type { ServiceRecord } from '../contract/service.js';
import type { Platform } from '../platform/open.js';
import { retainImagesOf } from '../platform/retention.js';
import type { ReplicaState } from '../platform/targets/index.js';
import { attend } from './attend.js';

/**
 * Tidying: what neither serves nor belongs to a deployment under way is drained and removed, and nodes keep
 * only images one may want to go back to. Safe at any time and any number of times.
 */
export const tidyActivities = (platform: Platform) => ({
  tidy: (service: string): Promise<void> =>
    attend(async ({ onProgress }) => {
      const { catalog, targets, stack } = platform;
      const record = await catalog.getService(service);
      const route = await catalog.getRoute(service);
      const serving = new Set(route?.replicas.map(({ node, name }) => `${node}/${name}`));
      const stale = (await targets.docker.list({ service })).filter(
        (replica) => !serving.has(`${replica.node}/${replica.name}`) && isPast(replica, record),
      );
      const grace = milliseconds(stack.drain);
      await Promise.all(
        stale.map(async (replica) => {
          onProgress({ message: `draining ${replica.name}` });
          await targets.docker.remove(replica, grace);
        }),
      );
      await retainImagesOf(platform, service);
    }),
});

/** A deployment that began after the record was read has a higher token: its replicas are left alone. */
function isPast({ token, role }: ReplicaState, record: ServiceRecord | null): boolean {
  if (role === 'pin' || record === null) return false;
  return record.holder === null ? token <= record.token : token < record.token;
}
