import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import type { ImageRef } from '../../contract/names.js';
import type { Stack } from '../../contract/stack.js';
import { encodeImage, readImage, type Image } from '../../platform/images/image.js';
import type { Registry } from '../../platform/images/index.js';
import { ociLayer, ociManifest } from '../../platform/images/manifest.js';
import { createRegistry } from '../../platform/images/registry.js';
import { blobOf, sha256, watch } from '../registry/sample.js';

/** How a probe misbehaves; see `probe.py`. */
export type Behaviour = { env?: Record<string, string>; user?: string };

/** Where probes are pushed: outside the names that Slipway gives its own images. */
const repository = 'probe/serving';

/**
 * The name of an image in the stack's registry that obeys the serving contract and behaves as told. It is put there
 * layer by layer, without an engine, and once: who asks for the same behaviour gets the same image, of which an engine
 * may have a copy. `PROBE_UNIQUE` in its environment makes it one of a test's own, which a target has to pull.
 */
export async function probeImage(stack: Stack, behaviour: Behaviour = {}): Promise<ImageRef> {
  const registry = createRegistry(stack.registry);
  const program = await readFile(resolve('test/targets/probe.py'));
  const content = JSON.stringify([stack.base.digest, sha256(program), behaviour]);
  const tag = createHash('sha256').update(content).digest('hex').slice(0, 32);
  const made = await registry.headManifest(repository, tag);
  return { repository, digest: made ?? (await pushProbe(stack, registry, program, behaviour, tag)) };
}

/** Puts the base's layers and one with the program into the repository; at the same time as others does no harm. */
async function pushProbe(
  { base }: Stack,
  registry: Registry,
  program: Buffer,
  { env = {}, user }: Behaviour,
  tag: string,
): Promise<ImageRef['digest']> {
  const layer = blobOf(await layerOf(program));
  const { manifest, config } = await readImage(registry, base);
  for (const { digest, size } of manifest.layers) {
    if (await registry.mountBlob(repository, digest, base.repository)) continue;
    const open = (start: number) => registry.openBlob(base.repository, digest, start);
    await registry.putBlob(repository, { digest, size, open }, watch());
  }
  const image: Image = {
    config: {
      ...config,
      config: {
        ...config.config,
        Env: [
          ...(config.config?.Env ?? []),
          ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
        ],
        Cmd: ['python3', '/probe.py'],
        ...(user !== undefined && { User: user }),
      },
      rootfs: { type: 'layers', diff_ids: [...config.rootfs.diff_ids, layer.digest] },
      history: [],
    },
    manifest: {
      ...manifest,
      mediaType: ociManifest,
      layers: [...manifest.layers, { mediaType: ociLayer, digest: layer.digest, size: layer.size }],
    },
  };
  const encoded = encodeImage(image);
  for (const blob of [layer, encoded.config]) await registry.putBlob(repository, blob, watch());
  return await registry.putManifest(repository, encoded.raw, ociManifest, tag);
}

/** A tar with the program alone, the same bytes for the same program. */
async function layerOf(program: Buffer): Promise<Buffer> {
  const archive = pack();
  archive.entry({ name: 'probe.py', mode: 0o644, mtime: new Date(0) }, program);
  archive.finalize();
  return await buffer(archive);
}
