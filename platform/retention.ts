import type { JournalEntry } from '../contract/journal.js';
import type { ImageRef } from '../contract/names.js';
import type { Grant } from '../contract/pipeline.js';
import { withdraw } from './images/publish.js';
import { repositoryOf } from './images/repository.js';
import { allTargets, type Platform } from './open.js';

/**
 * Removes the images of a repository from the nodes, but for those one may want to go back to (live, previous and
 * last verified releases of every service) and those of deployments under way. `undone` is not under way any more.
 */
export async function retainImages(
  platform: Pick<Platform, 'catalog' | 'targets'>,
  repository: string,
  undone?: JournalEntry,
): Promise<void> {
  const { catalog } = platform;
  const services = await catalog.listServices();
  const ids = services.flatMap(({ live, previous, lastVerified }) => [live, previous, lastVerified]);
  const releases = await Promise.all(
    [...new Set(ids)].map(async (id) => (id ? await catalog.getRelease(id) : null)),
  );
  const released = releases.flatMap((release) => (release ? [release.image] : []));
  const underWay = (await catalog.allOpenEffects()).flatMap(({ id, effect }) =>
    effect.kind === 'manifest' && id !== undone?.id
      ? [{ repository: effect.repository, digest: effect.digest }]
      : [],
  );
  const keep = [...released, ...underWay].filter((image) => image.repository === repository);
  await Promise.all(allTargets(platform).map((target) => target.retain(repository, keep)));
}

/** The same for the repository of what a service serves. */
export async function retainImagesOf(platform: Platform, service: string): Promise<void> {
  const record = await platform.catalog.getService(service);
  const live = record?.live ? await platform.catalog.getRelease(record.live) : null;
  if (live) await retainImages(platform, repositoryOf(platform.stack.registry, live.model));
}

/**
 * Takes a manifest out of the registry, unless someone else rests on it: identical content has an identical digest,
 * and so may be another release's, or that of another deployment under way.
 */
export async function withdrawUnlessNamed(
  { catalog, registry }: Pick<Platform, 'catalog' | 'registry'>,
  grant: Grant,
  { repository, digest }: ImageRef,
): Promise<void> {
  await catalog.whileUnnamed(digest, grant, () => withdraw(registry, { repository, digest }));
}
