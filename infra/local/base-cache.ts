import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { digestOf, type Digest, type ImageRef } from '../../contract/names.js';
import type { Descriptor, Registry } from '../../platform/images/index.js';
import type { Local } from './components/component.js';
import { readIfPresent } from './files.js';
import { cacheFolder } from './home.js';

/** Repository of the image that source images are built on. */
export const baseRepository = 'slipway-base';

/** Number of the recipe in `base-debian.ts`: a change of what it makes needs a new one. */
const recipe = 1;

/** A base image in the cache: a folder with `layer.tar.gz`, `config.json` and `manifest.json`. */
export type CachedBase = { folder: string };

export const baseFolder = (): string => cacheFolder('images', `base-bookworm-${recipe}-${process.arch}`);

/** The base image that an earlier stack of this user made, or null. */
export async function cachedBase(): Promise<CachedBase | null> {
  const folder = baseFolder();
  return (await readIfPresent(join(folder, 'manifest.json'))) === null ? null : { folder };
}

/** Pushes it without an engine: only the blobs that the registry lacks. */
export async function pushBase({ folder }: CachedBase, registry: Registry, local: Local): Promise<ImageRef> {
  const { report, signal } = local;
  report.step('base', 'pushing it to the registry');
  const raw = await readFile(join(folder, 'manifest.json'));
  const { mediaType, config, layers } = JSON.parse(raw.toString()) as {
    mediaType: string;
    config: Descriptor;
    layers: Descriptor[];
  };
  const files: [string, Descriptor | undefined][] = [
    ['config.json', config],
    ['layer.tar.gz', layers[0]],
  ];
  for (const [file, blob] of files) {
    if (!blob) throw new Error(`reading "${folder}": its manifest names no ${file}`);
    const open = (start: number) => createReadStream(join(folder, file), { start });
    await registry.putBlob(
      baseRepository,
      { digest: blob.digest, size: blob.size, open },
      { signal, onProgress: ({ message }) => report.detail('base', message) },
    );
  }
  return { repository: baseRepository, digest: await registry.putManifest(baseRepository, raw, mediaType) };
}

/** Digest of some bytes. */
export const digestOfBytes = (bytes: Buffer | string): Digest =>
  digestOf(createHash('sha256').update(bytes).digest('hex'));
