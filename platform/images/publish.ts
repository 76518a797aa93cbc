import pLimit from 'p-limit';
import { SlipwayError } from '../../contract/errors.js';
import { hexOf, type ImageRef } from '../../contract/names.js';
import { readImage } from './image.js';
import type { Registry } from './index.js';

/**
 * Reads an image back: manifest and config verified by digest, every layer there, readable and as long as it says.
 * Throws when it is not: registries were seen to accept what nobody can pull.
 */
export async function verifyPushed(registry: Registry, image: ImageRef, signal: AbortSignal): Promise<void> {
  const { manifest } = await readImage(registry, image, signal);
  const limit = pLimit(8);
  await Promise.all(
    manifest.layers.map(({ digest, size }) =>
      limit(async () => {
        const got = await registry.blobSize(image.repository, digest, signal);
        if (got === size) return;
        const there = got === null ? 'it is not there' : `it has ${got} bytes instead of ${size}`;
        throw new Error(`reading back layer "${digest}" of "${image.repository}@${image.digest}": ${there}`);
      }),
    ),
  );
}

/** `20260131-0123456789ab`: the weights and the image. Two images never share a tag, so none is ever moved. */
export const tagOf = ({ digest }: ImageRef, weights: string): string =>
  `${weights}-${hexOf(digest).slice(0, 12)}`;

/** Names an image that is there. Throws `NotFound` when it is not. */
export async function putTag(registry: Registry, image: ImageRef, tag: string): Promise<void> {
  const found = await registry.getManifest(image.repository, image.digest);
  if (!found)
    throw new SlipwayError(
      'NotFound',
      `tagging "${image.repository}@${image.digest}": there is no such image`,
    );
  await registry.putManifest(image.repository, found.raw, found.manifest.mediaType, tag);
}

/** Takes an image out of its repository, with every tag it has. Blobs stay until the registry collects them. */
export async function withdraw(registry: Registry, image: ImageRef): Promise<void> {
  await registry.deleteManifest(image.repository, image.digest);
}
