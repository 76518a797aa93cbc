import type { Digest } from '../../contract/names.js';
import type { Registry } from './index.js';

export type CountedRepository = { repository: string; tags: { tag: string; digest: Digest }[] };

/**
 * Every repository that is asked for, with every tag and what it stands for. Manifests without a tag cannot be listed.
 */
export async function registryCensus(
  registry: Registry,
  isWanted: (repository: string) => boolean,
): Promise<CountedRepository[]> {
  const counted: CountedRepository[] = [];
  for (const repository of (await registry.listRepositories()).filter(isWanted).sort()) {
    const tags: CountedRepository['tags'] = [];
    for (const tag of (await registry.listTags(repository)).sort()) {
      const digest = await registry.headManifest(repository, tag);
      // Deleted since it was listed.
      if (digest !== null) tags.push({ tag, digest });
    }
    counted.push({ repository, tags });
  }
  return counted;
}
