import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, SlipwayError } from '../../contract/errors.js';
import type { Digest } from '../../contract/names.js';
import { readImage, type Image } from '../../platform/images/image.js';
import { createRegistry } from '../../platform/images/registry.js';
import { cachedBase, type CachedBase } from '../local/base-cache.js';
import { makeBase } from '../local/base-debian.js';
import type { Report } from '../local/report.js';
import { toolPaths } from '../local/tools/index.js';
import { packLayer, type Layer } from './layer.js';
import { parseReference, type Credentials } from './reference.js';

/** What the image is built on. Node is in it. */
export type Base = { name: string; image: Image; layers: Layer[] };

type Making = {
  folder: string;
  credentials: (host: string) => Promise<Credentials>;
  report: Report;
  signal: AbortSignal;
};

/** Major version of Node that this build runs on, and was tested with. */
const major = process.versions.node.split('.')[0];
export const usualBase = `node:${major}-bookworm-slim`;
/** For `--base`: Debian's packages and the Node of this machine, where no registry is in reach. */
export const debian = 'debian';

/**
 * The base image: the named one, else Docker Hub's Node; where that cannot be pulled, Debian's packages with this
 * machine's Node. A base without Node gets this machine's too.
 */
export async function openBase(name: string | undefined, making: Making): Promise<Base> {
  if (name === debian) return await withNode(await debianBase(making), making);
  if (name) return await withNode(await pulled(name, making), making);
  try {
    return await pulled(usualBase, making);
  } catch (error) {
    making.signal.throwIfAborted();
    making.report.step(
      'base',
      `${messageOf(error)}; taking Debian's packages and this machine's Node instead`,
    );
    return await withNode(await debianBase(making), making);
  }
}

async function pulled(name: string, { credentials, report, signal }: Making): Promise<Base> {
  report.step('base', `reading ${name}`);
  const { host, repository, reference } = parseReference(name);
  const registry = createRegistry({ url: host, ...(await credentials(host)) });
  const found = await registry.getManifest(repository, reference);
  if (!found) throw new SlipwayError('NotFound', `reading "${name}": there is no such image`);
  const image = await readImage(registry, { repository, digest: found.digest }, signal);
  const layers = image.manifest.layers.map((descriptor, at) => ({
    descriptor,
    diffId: image.config.rootfs.diff_ids[at]!,
    createdBy: name,
    open: (start: number) => registry.openBlob(repository, descriptor.digest, start, signal),
  }));
  return { name: `${name}@${found.digest}`, image, layers };
}

async function debianBase({ report, signal }: Making): Promise<Base> {
  const { folder }: CachedBase =
    (await cachedBase()) ?? (await makeBase({ tools: toolPaths(report, signal), report, signal }));
  const read = async <T>(file: string) => JSON.parse(await readFile(join(folder, file), 'utf8')) as T;
  const manifest = await read<Image['manifest']>('manifest.json');
  const config = await read<Image['config']>('config.json');
  const layers = manifest.layers.map((descriptor, at) => ({
    descriptor,
    diffId: config.rootfs.diff_ids[at] as Digest,
    createdBy: 'debootstrap bookworm',
    open: (start: number) => createReadStream(join(folder, 'layer.tar.gz'), { start }),
  }));
  return { name: 'Debian bookworm', image: { manifest, config }, layers };
}

/** Docker Hub's images of Node say so in their environment. */
async function withNode(base: Base, { folder, report }: Making): Promise<Base> {
  if (base.image.config.config?.Env?.some((pair) => pair.startsWith('NODE_VERSION='))) return base;
  if (process.platform !== 'linux')
    throw new SlipwayError(
      'InvalidInput',
      `"${base.name}" has no Node, and this machine's is not for Linux; name a base that has it, e.g. --base ${usualBase}`,
    );
  report.step('base', `adding Node ${process.version}`);
  const contents = [{ path: 'usr/local/bin/node', from: process.execPath }];
  const node = await packLayer(contents, join(folder, 'node.tar.gz'), `Node ${process.version}`);
  return { ...base, name: `${base.name} with Node ${process.version}`, layers: [...base.layers, node] };
}
