import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { digestOf, type Digest, type ImageRef } from '../../contract/names.js';
import type { ArtifactIndex } from '../../platform/archive/index.js';
import { appendWeights, type AppendOptions } from '../../platform/images/append.js';
import type { AppendResult, BlobSource, Registry, Watch } from '../../platform/images/index.js';
import { digestLayer, planLayers } from '../../platform/images/layers.js';

export const MiB = 2 ** 20;
export const repository = 'slipway/sample';

/** Weights in memory: a file's bytes by its path. */
export type Weights = Record<string, Buffer>;

export const watch = (signal = new AbortController().signal): Watch => ({
  onProgress: () => undefined,
  signal,
});

export const sha256 = (bytes: Buffer): Digest => digestOf(createHash('sha256').update(bytes).digest('hex'));

/** Bytes that do not compress. */
export const noise = (size: number): Buffer => randomBytes(size);

/** Yields in pieces, as a disk does. */
export function streamOf(bytes: Buffer, start = 0): Readable {
  const pieces = function* () {
    for (let at = start; at < bytes.length; at += 64 * 1024) yield bytes.subarray(at, at + 64 * 1024);
  };
  return Readable.from(pieces(), { objectMode: false });
}

export const blobOf = (bytes: Buffer): BlobSource => ({
  digest: sha256(bytes),
  size: bytes.length,
  open: (start) => streamOf(bytes, start),
});

/** The index that an archive of these files would have. */
export async function indexOf(weights: Weights): Promise<ArtifactIndex> {
  const files = Object.entries(weights).map(([path, bytes]) => ({
    path,
    size: bytes.length,
    sha256: sha256(bytes),
    offset: 0,
    packed: bytes.length,
    method: 'stored' as const,
  }));
  const layers = [];
  for (const { files: paths } of planLayers(files)) {
    const parts = paths.map((path) => ({
      path,
      size: weights[path]!.length,
      open: (start: number) => streamOf(weights[path]!, start),
    }));
    layers.push({ ...(await digestLayer(parts)), files: paths });
  }
  return { format: 1, digest: sha256(Buffer.from(JSON.stringify(files))), files, layers };
}

/** Appends weights; `read` gets the path of every file that was opened. */
export async function append(
  registry: Registry,
  sourceImage: ImageRef,
  weights: Weights,
  options: Partial<AppendOptions> & { read?: string[]; signal?: AbortSignal } = {},
): Promise<AppendResult> {
  const { read = [], signal, ...rest } = options;
  return await appendWeights(
    registry,
    {
      repository,
      sourceImage,
      index: await indexOf(weights),
      open: async (path, start) => {
        read.push(path);
        return streamOf(weights[path]!, start);
      },
      ...rest,
    },
    watch(signal),
  );
}

/** Puts an image as `docker push` does: Docker's media types, gzip. Unless told otherwise, `app/model/stale.bin` is in it. */
export async function putSourceImage(
  registry: Registry,
  {
    into = repository,
    extraLayers = 0,
    stale = true,
  }: { into?: string; extraLayers?: number; stale?: boolean } = {},
): Promise<ImageRef> {
  const tars = [
    await tarOf({
      'app/src/main.py': 'print("ship")\n',
      ...(stale ? { 'app/model/stale.bin': 'stale' } : {}),
    }),
    ...(await Promise.all(
      Array.from({ length: extraLayers }, (_, at) => tarOf({ [`app/src/step-${at}`]: `${at}` })),
    )),
  ];
  const layers = tars.map((tar) => gzipSync(tar));
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      created: '2026-01-31T00:00:00Z',
      config: { Cmd: ['/app/src/main.py'], Env: ['PATH=/usr/bin', 'MODEL_NAME=none'] },
      rootfs: { type: 'layers', diff_ids: tars.map((tar) => sha256(tar)) },
      history: tars.map(() => ({ created: '2026-01-31T00:00:00Z', created_by: 'test' })),
    }),
  );
  for (const blob of [...layers, config]) await registry.putBlob(into, blobOf(blob), watch());
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
  const manifest = {
    schemaVersion: 2,
    mediaType,
    config: {
      mediaType: 'application/vnd.docker.container.image.v1+json',
      size: config.length,
      digest: sha256(config),
    },
    layers: layers.map((layer) => ({
      mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
      size: layer.length,
      digest: sha256(layer),
    })),
  };
  const digest = await registry.putManifest(into, Buffer.from(JSON.stringify(manifest)), mediaType);
  return { repository: into, digest };
}

async function tarOf(files: Record<string, string>): Promise<Buffer> {
  const tar = pack();
  for (const [name, text] of Object.entries(files)) tar.entry({ name, mtime: new Date(0) }, text);
  tar.finalize();
  return await buffer(tar);
}
