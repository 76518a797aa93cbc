import { z } from 'zod';
import { SlipwayError } from '../../contract/errors.js';
import { Digest } from '../../contract/names.js';
import { describeIssues } from '../../contract/deploy.js';
import type { Manifest } from './index.js';

export const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
export const ociConfig = 'application/vnd.oci.image.config.v1+json';
export const ociLayer = 'application/vnd.oci.image.layer.v1.tar';
const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json';
const ociIndex = 'application/vnd.oci.image.index.v1+json';
const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json';

/** What we can read, for `Accept`. */
export const acceptedManifests = [ociManifest, dockerManifest, ociIndex, dockerList].join(', ');

/** https://github.com/opencontainers/image-spec/blob/main/layer.md and Docker's names for the same bytes. */
const ociOf: Record<string, string> = {
  [dockerManifest]: ociManifest,
  'application/vnd.docker.container.image.v1+json': ociConfig,
  'application/vnd.docker.image.rootfs.diff.tar': ociLayer,
  'application/vnd.docker.image.rootfs.diff.tar.gzip': `${ociLayer}+gzip`,
  'application/vnd.docker.image.rootfs.diff.tar.zstd': `${ociLayer}+zstd`,
};
const ociTypes = new Set([ociManifest, ociConfig, ociLayer, `${ociLayer}+gzip`, `${ociLayer}+zstd`]);

const Descriptor = z.looseObject({
  mediaType: z.string(),
  digest: Digest,
  size: z.number().int().nonnegative(),
});
const ImageManifest = z.looseObject({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  config: Descriptor,
  layers: z.array(Descriptor),
  annotations: z.record(z.string(), z.string()).optional(),
});
const ManifestList = z.looseObject({
  manifests: z.array(
    Descriptor.extend({ platform: z.object({ os: z.string(), architecture: z.string() }).optional() }),
  ),
});

/** An image of one platform, or a list of such images. */
export type ParsedManifest =
  | { kind: 'image'; manifest: Manifest }
  | { kind: 'list'; images: { digest: Digest; os: string; architecture: string }[] };

/** Parses what a registry gave for a manifest. Throws `InvalidInput` when it is none that we can use. */
export function parseManifest(doing: string, raw: Buffer, contentType: string | undefined): ParsedManifest {
  const json = parseJson(doing, raw);
  const named = (json as { mediaType?: unknown }).mediaType;
  const mediaType = typeof named === 'string' ? named : (contentType ?? '');
  if ('manifests' in json || mediaType === ociIndex || mediaType === dockerList) {
    const { manifests } = parsed(doing, ManifestList, json);
    return {
      kind: 'list',
      images: manifests.flatMap(({ digest, platform }) => (platform ? [{ digest, ...platform }] : [])),
    };
  }
  const manifest = parsed(doing, ImageManifest, json);
  return { kind: 'image', manifest: { ...manifest, mediaType: mediaType || ociManifest } as Manifest };
}

/** Processors as images name them. */
const architectures: Partial<Record<NodeJS.Architecture, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  ia32: '386',
  ppc64: 'ppc64le',
};
const ourArchitecture = architectures[process.arch] ?? process.arch;

/** The image of a list that runs here. Throws `InvalidInput` naming what there is instead. */
export function imageForPlatform(
  doing: string,
  { images }: ParsedManifest & { kind: 'list' },
  architecture: string = ourArchitecture,
): Digest {
  const image = images.find((it) => it.os === 'linux' && it.architecture === architecture);
  if (image) return image.digest;
  const there = images.map((it) => `${it.os}/${it.architecture}`).join(', ') || 'none';
  throw new SlipwayError(
    'InvalidInput',
    `${doing}: a list of images without one for linux/${architecture}; there is ${there}`,
  );
}

/**
 * The same image in OCI's media types throughout: clients refuse a manifest that mixes them with Docker's. Throws
 * `InvalidInput` for layers that no other registry may hold, or that have an unknown form.
 */
export function toOci(manifest: Manifest): Manifest {
  const convert = <T extends { mediaType: string; digest: Digest }>(descriptor: T): T => {
    const mediaType = ociOf[descriptor.mediaType] ?? descriptor.mediaType;
    if (ociTypes.has(mediaType)) return { ...descriptor, mediaType };
    throw new SlipwayError(
      'InvalidInput',
      `converting an image to OCI: "${descriptor.digest}" has the media type "${descriptor.mediaType}"`,
    );
  };
  return {
    ...manifest,
    mediaType: ociManifest,
    config: convert(manifest.config),
    layers: manifest.layers.map(convert),
  };
}

function parseJson(doing: string, raw: Buffer): object {
  try {
    const json: unknown = JSON.parse(raw.toString());
    if (typeof json === 'object' && json !== null) return json;
  } catch (cause) {
    throw new SlipwayError('InvalidInput', `${doing}: not JSON`, {}, { cause });
  }
  throw new SlipwayError('InvalidInput', `${doing}: not a JSON object`);
}

function parsed<T>(doing: string, schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  throw new SlipwayError('InvalidInput', `${doing}: not an image manifest: ${describeIssues(result.error)}`);
}
