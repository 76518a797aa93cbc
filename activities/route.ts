import { setTimeout as delay } from 'node:timers/promises';
import { SlipwayError } from '../contract/errors.js';
import type { Grant, Release, Replica } from '../contract/pipeline.js';
import type { Platform } from '../platform/open.js';
import type { Catalog } from '../platform/catalog/index.js';
import { attend, type Watch } from './attend.js';

/** Shift: the route moves to the verified replicas, and every living gateway says it has noticed. */
export const routeActivities = (platform: Platform) => ({
  shift: (
    grant: Grant,
    release: Omit<Release, 'createdAt'>,
    replicas: Replica[],
    /** Milliseconds that the replicas which served before stay, so that going back is instant. */
    keep: number,
  ): Promise<{ version: number }> =>
    attend(async () => {
      const { catalog } = platform;
      const previous = await catalog.getRoute(grant.service);
      // A retry finds the entry that the first attempt wrote, with the route as it was before.
      await catalog.recordEffect(grant, { kind: 'route', key: 'route', release: release.id, previous });
      const createdAt = release.verification.at;
      const { version } = await catalog.shift(grant, { ...release, createdAt }, replicas, keep);
      await catalog.audit({
        service: grant.service,
        actor: grant.deployment.workflowId,
        action: 'shift',
        details: { release: release.id, version },
      });
      return { version };
    }),

  awaitGateways: (version: number): Promise<void> =>
    attend((watch) => untilAcknowledged(platform.catalog, version, watch)),

  /** An earlier release of the service; throws `NotFound` when there is none or it was taken back. */
  recallRelease: (service: string, to: string): Promise<Release> =>
    attend(async () => {
      const record = await platform.catalog.getService(service);
      const id = to === 'previous' ? record?.previous : to;
      if (!id)
        throw new SlipwayError('NotFound', `service "${service}" has no earlier release to go back to`);
      const release = await platform.catalog.getRelease(id);
      if (!release || release.service !== service)
        throw new SlipwayError('NotFound', `service "${service}" has no release "${id}"`);
      if (record?.live === id)
        throw new SlipwayError('Conflict', `release "${id}" is what service "${service}" serves already`);
      return release;
    }),
});

/**
 * Waits until every living gateway serves `version` or later. A gateway that is unheard of for 15 s is not
 * living; it reads the routes anew before it serves again.
 */
export async function untilAcknowledged(catalog: Catalog, version: number, watch: Watch): Promise<void> {
  for (;;) {
    const behind = (await catalog.livingGateways()).filter((gateway) => gateway.version < version);
    if (behind.length === 0) return;
    watch.onProgress({ message: `waiting for ${behind.length} gateways to serve route version ${version}` });
    await delay(100, undefined, { signal: watch.signal });
  }
}
