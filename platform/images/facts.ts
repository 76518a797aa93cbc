import type { ImageRef } from '../../contract/names.js';
import type { Registry } from './index.js';

/** What an image says of how it is to be run, and where it can. */
export type ImageFacts = { user: string; os: string; architecture: string };

/** https://github.com/opencontainers/image-spec/blob/main/config.md */
type Config = { os?: string; architecture?: string; config?: { User?: string } | null };

/** Reads an image's configuration in the registry; null when it is not there. */
export async function imageFacts(
  registry: Registry,
  { repository, digest }: ImageRef,
  signal?: AbortSignal,
): Promise<ImageFacts | null> {
  const found = await registry.getManifest(repository, digest);
  if (found === null) return null;
  const raw = await registry.readBlob(repository, found.manifest.config.digest, signal);
  const { os = 'linux', architecture = '', config } = JSON.parse(raw.toString()) as Config;
  return { user: config?.User ?? '', os, architecture };
}
