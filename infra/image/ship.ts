import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { pack, type Pack } from 'tar-stream';
import { hexOf, type Digest } from '../../contract/names.js';
import { encodeImage } from '../../platform/images/image.js';
import type { BlobSource, Registry } from '../../platform/images/index.js';
import { ociManifest } from '../../platform/images/manifest.js';
import { verifyPushed } from '../../platform/images/publish.js';
import type { Report } from '../local/report.js';
import type { Built } from './image.js';

/** Pushes what the registry lacks, reads it back, and puts the tag last. Answers the digest. */
export async function pushImage(
  { image, layers }: Built,
  registry: Registry,
  { repository, tag }: { repository: string; tag: string },
  report: Report,
  signal: AbortSignal,
): Promise<Digest> {
  const { raw, config, digest } = encodeImage(image);
  const blobs: BlobSource[] = [
    ...layers.map(({ descriptor: { digest, size }, open }) => ({ digest, size, open })),
    config,
  ];
  for (const [at, blob] of blobs.entries()) {
    report.step('push', `layer ${at + 1} of ${blobs.length}, ${Math.ceil(blob.size / 2 ** 20)} MiB`);
    await registry.putBlob(repository, blob, {
      signal,
      onProgress: ({ message }) => report.detail('push', message),
    });
  }
  await registry.putManifest(repository, raw, ociManifest);
  await verifyPushed(registry, { repository, digest }, signal);
  return await registry.putManifest(repository, raw, ociManifest, tag);
}

/**
 * Writes the image to a file that `docker load`, `ctr images import`, `skopeo` and `crane` read. Answers its digest.
 * https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
export async function saveImage({ image, layers }: Built, name: string, file: string): Promise<Digest> {
  const { raw, config, digest } = encodeImage(image);
  const tar = pack();
  const partial = `${file}.partial`;
  const writing = pipeline(tar, createWriteStream(partial));
  const path = (of: Digest): string => `blobs/sha256/${hexOf(of)}`;
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  try {
    await text(tar, 'oci-layout', json({ imageLayoutVersion: '1.0.0' }));
    const entry = { mediaType: ociManifest, digest, size: raw.length };
    const annotations = {
      'io.containerd.image.name': name,
      'org.opencontainers.image.ref.name': tagIn(name),
    };
    await text(tar, 'index.json', json({ schemaVersion: 2, manifests: [{ ...entry, annotations }] }));
    // What `docker load` of engines before 25 reads.
    await text(
      tar,
      'manifest.json',
      json([
        {
          Config: path(config.digest),
          RepoTags: [name],
          Layers: layers.map(({ descriptor }) => path(descriptor.digest)),
        },
      ]),
    );
    await text(tar, path(digest), raw);
    for (const blob of [config, ...layers.map(({ descriptor, open }) => ({ ...descriptor, open }))])
      await pipeline(await blob.open(0), tar.entry({ name: path(blob.digest), size: blob.size }));
    tar.finalize();
    await writing;
    await rename(partial, file);
    return digest;
  } finally {
    await rm(partial, { force: true });
  }
}

const tagIn = (name: string): string => /:([^:/]+)$/.exec(name)?.[1] ?? 'latest';

const text = (tar: Pack, name: string, content: Buffer): Promise<void> =>
  new Promise((done, fail) => {
    tar.entry({ name, mtime: new Date(0) }, content, (error) => (error ? fail(error) : done()));
  });
