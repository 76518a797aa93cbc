import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { SlipwayError } from '../../contract/errors.js';
import { digestOf, type Digest, type ImageRef } from '../../contract/names.js';
import type { BlobSource, Descriptor, Manifest, Registry } from './index.js';
import { ociConfig, ociManifest, toOci } from './manifest.js';

/** https://github.com/opencontainers/image-spec/blob/main/config.md, as far as it is changed here. */
export type ImageConfig = {
  config?: { Env?: string[]; Labels?: Record<string, string> | null; [key: string]: unknown };
  rootfs: { type: 'layers'; diff_ids: string[] };
  history?: { created?: string; created_by?: string; comment?: string; empty_layer?: boolean }[];
  [key: string]: unknown;
};

/** An image as a value: changed by making another. */
export type Image = { manifest: Manifest; config: ImageConfig };

/** A layer that is put on top of an image, and what its tar is when unpacked. */
export type AddedLayer = { descriptor: Descriptor; diffId: string };

export type ConfigChange = { env?: Record<string, string>; labels?: Record<string, string> };

/** Annotation of a manifest: the number of the first layer that is weights. */
export const weightsFrom = 'dev.slipway.weights.from';

/** An image from the registry, in OCI's terms. Throws `NotFound` when it is not there. */
export async function readImage(registry: Registry, image: ImageRef, signal?: AbortSignal): Promise<Image> {
  const found = await registry.getManifest(image.repository, image.digest);
  if (!found)
    throw new SlipwayError(
      'NotFound',
      `reading image "${image.repository}@${image.digest}": it is not there`,
      {
        ...image,
      },
    );
  const manifest = toOci(found.manifest);
  const bytes = await registry.readBlob(image.repository, manifest.config.digest, signal);
  const config = JSON.parse(bytes.toString()) as ImageConfig;
  if (config.rootfs?.diff_ids?.length !== manifest.layers.length)
    throw new SlipwayError(
      'InvalidInput',
      `reading image "${image.repository}@${image.digest}": its config does not name as many layers as its manifest`,
    );
  return { manifest, config };
}

/** The same image with weights on top. Equal input makes an equal image: there is no clock in it. */
export function withWeights(source: Image, layers: readonly AddedLayer[], change: ConfigChange = {}): Image {
  const { manifest, config } = source;
  const history = config.history ?? [];
  const told = history.filter(({ empty_layer }) => !empty_layer).length;
  return {
    config: {
      ...config,
      ...(change.env || change.labels ? { config: changed(config.config ?? {}, change) } : {}),
      rootfs: {
        type: 'layers',
        diff_ids: [...config.rootfs.diff_ids, ...layers.map(({ diffId }) => diffId)],
      },
      // A history that does not fit the layers is worse than none.
      ...(told === manifest.layers.length
        ? {
            history: [
              ...history,
              ...layers.map(() => ({ created: '1970-01-01T00:00:00Z', created_by: 'slipway weights' })),
            ],
          }
        : { history: [] }),
    },
    manifest: {
      ...manifest,
      mediaType: ociManifest,
      layers: [...manifest.layers, ...layers.map(({ descriptor }) => descriptor)],
      annotations: { ...manifest.annotations, [weightsFrom]: String(manifest.layers.length) },
    },
  };
}

/** The weights of an image that {@link withWeights} made. Throws `InvalidInput` for any other. */
export function weightsOf({ manifest, config }: Image, name: string): AddedLayer[] {
  const from = manifest.annotations?.[weightsFrom];
  if (from === undefined || !/^\d+$/.test(from) || Number(from) >= manifest.layers.length)
    throw new SlipwayError(
      'InvalidInput',
      `reading the weights of "${name}": the image was not made by Slipway`,
    );
  return manifest.layers
    .map((descriptor, at) => ({ descriptor, diffId: config.rootfs.diff_ids[at]! }))
    .slice(Number(from));
}

/** What is sent for an image, its layers aside. */
export function encodeImage({ manifest, config }: Image): {
  digest: Digest;
  raw: Buffer;
  config: BlobSource;
} {
  const configBytes = Buffer.from(JSON.stringify(config));
  const digest = sha256(configBytes);
  const descriptor = { mediaType: ociConfig, digest, size: configBytes.length };
  const raw = Buffer.from(JSON.stringify({ ...manifest, config: descriptor }));
  const open = (start: number) => Readable.from([configBytes.subarray(start)]);
  return { digest: sha256(raw), raw, config: { digest, size: configBytes.length, open } };
}

const sha256 = (bytes: Buffer): Digest => digestOf(createHash('sha256').update(bytes).digest('hex'));

function changed(
  config: NonNullable<ImageConfig['config']>,
  { env = {}, labels = {} }: ConfigChange,
): NonNullable<ImageConfig['config']> {
  const kept = (config.Env ?? []).filter((pair) => !((pair.split('=')[0] ?? '') in env));
  return {
    ...config,
    Env: [...kept, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
    Labels: { ...config.Labels, ...labels },
  };
}
