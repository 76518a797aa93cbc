import pLimit from 'p-limit';
import type { Readable } from 'node:stream';
import { SlipwayError } from '../../contract/errors.js';
import type { ImageRef } from '../../contract/names.js';
import type { ArtifactIndex, IndexedLayer } from '../archive/index.js';
import { bringLayers } from './append-layers.js';
import {
  encodeImage,
  readImage,
  weightsOf,
  withWeights,
  type AddedLayer,
  type ConfigChange,
  type Image,
} from './image.js';
import type { AppendResult, BlobSource, Registry, Watch } from './index.js';
import { layerBlob, opaqueLayer } from './layers.js';
import { ociLayer, ociManifest } from './manifest.js';

/** Docker stops at 125 layers; room is left for what is built on top. */
const maxLayers = 100;

/**
 * Puts a manifest under the caller's own precautions: it writes the image down, then calls `put`. Default: just put.
 */
export type PutManifest = (image: ImageRef, put: () => Promise<void>) => Promise<unknown>;

export type AppendOptions = {
  repository: string;
  /** In the same repository or in another one of the same registry. */
  sourceImage: ImageRef;
  index: ArtifactIndex;
  config?: ConfigChange;
  /** Bytes of a file of the index from an offset; asked only for files of layers that are missing. */
  open: (path: string, start: number) => Promise<Readable>;
  putManifest?: PutManifest;
};

/** What appending would send: all layers of the image, those that are missing, and their bytes. Changes nothing. */
export async function planPush(
  registry: Registry,
  repository: string,
  sourceImage: ImageRef | null,
  index: ArtifactIndex,
): Promise<{ layers: number; missing: IndexedLayer[]; bytes: number }> {
  const source = sourceImage ? (await readImage(registry, sourceImage)).manifest.layers.length : 0;
  const { digest, size } = await opaqueLayer();
  const layers: IndexedLayer[] = [{ digest, size, files: [] }, ...index.layers];
  const limit = pLimit(8);
  const there = await Promise.all(
    layers.map((layer) =>
      limit(async () => (await registry.blobSize(repository, layer.digest)) === layer.size),
    ),
  );
  const missing = layers.filter((_, at) => !there[at]);
  return {
    layers: source + layers.length,
    missing,
    bytes: missing.reduce((sum, layer) => sum + layer.size, 0),
  };
}

/**
 * Appends weights to an image in the registry: layers that are missing are sent, then the config, then the manifest
 * by its digest. It gets no name. Equal input makes an equal image, and repeating it sends nothing. Throws
 * `PushFailed` for more than 100 layers and for what the registry refuses.
 */
export async function appendWeights(
  registry: Registry,
  { repository, sourceImage, index, config, open, putManifest }: AppendOptions,
  watch: Watch,
): Promise<AppendResult> {
  const source = await readImage(registry, sourceImage, watch.signal);
  const sizes = new Map(index.files.map(({ path, size }) => [path, size]));
  const blobs: BlobSource[] = [
    await opaqueLayer(),
    ...index.layers.map((layer) =>
      layerBlob(
        layer,
        layer.files.map((path) => ({ path, size: sizes.get(path)!, open: (start) => open(path, start) })),
      ),
    ),
  ];
  const image = withWeights(source, blobs.map(added), config);
  refuseTooMany(repository, image, blobs.length);
  const sent = await bringLayers(
    registry,
    repository,
    [
      ...source.manifest.layers.map(({ digest, size }) => ({ digest, size, from: sourceImage.repository })),
      ...blobs,
    ],
    watch,
  );
  const ref = await putImage(registry, repository, image, watch, putManifest);
  return { image: ref, layers: image.manifest.layers.length, sent };
}

/**
 * A new source image with the weights of an image that is there, in the source image's repository: no file is read,
 * nothing is sent but config and manifest where the registry can mount. Throws `InvalidInput` when the other image
 * was not made by {@link appendWeights}.
 */
export async function composeWithWeights(
  registry: Registry,
  sourceImage: ImageRef,
  weightsImage: ImageRef,
  { putManifest, watch = unwatched() }: { putManifest?: PutManifest; watch?: Watch } = {},
): Promise<ImageRef> {
  const { repository } = sourceImage;
  const source = await readImage(registry, sourceImage, watch.signal);
  const other = await readImage(registry, weightsImage, watch.signal);
  const weights = weightsOf(other, `${weightsImage.repository}@${weightsImage.digest}`);
  const image = withWeights(source, weights);
  refuseTooMany(repository, image, weights.length);
  const layers = weights.map(({ descriptor: { digest, size } }) => ({
    digest,
    size,
    from: weightsImage.repository,
  }));
  await bringLayers(registry, repository, layers, watch);
  return await putImage(registry, repository, image, watch, putManifest);
}

async function putImage(
  registry: Registry,
  repository: string,
  image: Image,
  watch: Watch,
  putManifest: PutManifest = (_, put) => put(),
): Promise<ImageRef> {
  const { digest, raw, config } = encodeImage(image);
  await registry.putBlob(repository, config, { ...watch, onProgress: () => undefined });
  const ref = { repository, digest };
  await putManifest(ref, async () => {
    watch.signal.throwIfAborted();
    await registry.putManifest(repository, raw, ociManifest);
  });
  return ref;
}

function refuseTooMany(repository: string, { manifest }: Image, weights: number): void {
  const total = manifest.layers.length;
  if (total <= maxLayers) return;
  throw new SlipwayError(
    'PushFailed',
    `appending weights in "${repository}": ${total - weights} layers of the source image and ${weights} of weights are more than the ${maxLayers} an image may have; build the source image with fewer steps`,
    { layers: total },
  );
}

/** An uncompressed layer: its digest is that of the tar itself. */
const added = ({ digest, size }: BlobSource): AddedLayer => ({
  descriptor: { mediaType: ociLayer, digest, size },
  diffId: digest,
});

const unwatched = (): Watch => ({ onProgress: () => undefined, signal: new AbortController().signal });
