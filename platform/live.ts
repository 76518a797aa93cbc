import type { Release, Replica } from '../contract/pipeline.js';
import type { Platform } from './open.js';

/** What serves now on the target of a release to be; empty when nothing does, or elsewhere. */
export async function liveReplicas(
  { catalog }: Pick<Platform, 'catalog'>,
  service: string,
  { target }: Pick<Release, 'target'>,
): Promise<Replica[]> {
  const route = await catalog.getRoute(service);
  const release = route && (await catalog.getRelease(route.release));
  return release?.target === target ? route!.replicas : [];
}

/** Replicas of the release one goes back to that were kept for that, or null. */
export async function keptReplicas(
  { catalog }: Pick<Platform, 'catalog'>,
  service: string,
  { repeats }: Pick<Release, 'repeats'>,
): Promise<Replica[] | null> {
  if (!repeats) return null;
  const kept = await catalog.keptReplicas(service);
  return kept.find(({ release, expired }) => release === repeats && !expired)?.replicas ?? null;
}
