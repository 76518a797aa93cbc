import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { execa } from 'execa';
import type { Digest } from '../../contract/names.js';
import { baseFolder, digestOfBytes, type CachedBase } from './base-cache.js';
import type { Local } from './components/component.js';
import { hashing } from './hashing.js';
import { cacheFolder } from './home.js';
import { unmountBelow } from './mounts.js';

const packages = ['python3-minimal', 'python3-venv', 'python3-pip', 'ca-certificates'];

/** What packages bring and nothing that serves a model reads. */
const unneeded = [
  ...['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/info', 'var/lib/apt/lists'],
  ...['var/cache/apt', 'var/cache/debconf', 'var/log', 'etc/resolv.conf', 'etc/hostname', 'etc/machine-id'],
];

/** Makes the base image from Debian's packages and keeps it in the cache, in the form it is pushed in. */
export async function makeBase({
  tools,
  report,
  signal,
}: Pick<Local, 'tools' | 'report' | 'signal'>): Promise<CachedBase> {
  if (process.getuid?.() !== 0) throw new Error('making a base image from Debian packages: needs root');
  const debootstrap = await tools.debootstrap();
  const images = cacheFolder('images');
  await mkdir(images, { recursive: true });
  const partial = await mkdtemp(join(images, '.partial-base-'));
  const root = join(partial, 'root');
  const image = join(partial, 'image');
  try {
    await mkdir(image);
    report.step('base', 'making it from Debian packages (about a minute)');
    const making = execa(
      debootstrap,
      ['--variant=minbase', `--include=${packages.join(',')}`, 'bookworm', root],
      { all: true, cancelSignal: signal, stdin: 'ignore' },
    );
    for await (const line of making.iterable({ from: 'all' }))
      report.detail('base', `debootstrap: ${line.replace(/^I: /, '')}`);
    await making;
    await unmountBelow([root]);
    for (const path of unneeded) await empty(join(root, path));

    report.step('base', 'packing it');
    const layer = await pack(root, join(image, 'layer.tar.gz'), signal);
    await describe(image, layer);
    await rename(image, baseFolder()).catch(async (error: NodeJS.ErrnoException) => {
      // Another stack was faster: its image is as good.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    return { folder: baseFolder() };
  } finally {
    // debootstrap mounts the machine's /proc inside, and does not end that when it is killed.
    await unmountBelow([partial]);
    await rm(partial, { recursive: true, force: true });
  }
}

/** Packages expect their folders to be there, so only what is in them goes. */
async function empty(path: string): Promise<void> {
  const entries = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOTDIR' || error.code === 'ENOENT') return null;
    throw error;
  });
  for (const target of entries?.map((entry) => join(path, entry)) ?? [path])
    await rm(target, { recursive: true, force: true });
}

type Layer = { digest: Digest; diffId: Digest; size: number };

async function pack(root: string, file: string, signal: AbortSignal): Promise<Layer> {
  const tar = execa(
    'tar',
    ['--numeric-owner', '--sort=name', '--exclude=./dev/*', '--exclude=./proc/*', '-C', root, '-c', '.'],
    { buffer: false, cancelSignal: signal, stderr: 'inherit' },
  );
  const plain = hashing();
  const packed = hashing();
  await Promise.all([
    tar,
    pipeline(tar.stdout, plain.stream, createGzip(), packed.stream, createWriteStream(file), { signal }),
  ]);
  return { diffId: plain.digest(), digest: packed.digest(), size: packed.size() };
}

/** https://github.com/opencontainers/image-spec/blob/main/config.md */
async function describe(image: string, layer: Layer): Promise<void> {
  const type = 'application/vnd.oci.image';
  const config = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: {
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LANG=C.UTF-8'],
      Cmd: ['python3'],
    },
    rootfs: { type: 'layers', diff_ids: [layer.diffId] },
    history: [{ created_by: `debootstrap bookworm ${packages.join(' ')}` }],
  });
  await writeFile(join(image, 'config.json'), config);
  await writeFile(
    join(image, 'manifest.json'),
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${type}.manifest.v1+json`,
      config: {
        mediaType: `${type}.config.v1+json`,
        digest: digestOfBytes(config),
        size: Buffer.byteLength(config),
      },
      layers: [{ mediaType: `${type}.layer.v1.tar+gzip`, digest: layer.digest, size: layer.size }],
    }),
  );
}
