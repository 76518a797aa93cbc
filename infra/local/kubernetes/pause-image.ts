import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { execa } from 'execa';
import { pack } from 'tar-stream';
import { digestOfBytes } from '../base-cache.js';
import type { ClusterNode } from './node.js';
import { containerdSocket } from './parts.js';

/** Name of the image that every pod's sandbox runs. No registry has it: it goes straight into containerd. */
export const pauseImage = 'slipway.local/pause:1';

/** Makes it from the program and imports it unless it is there. Throws while containerd does not answer. */
export async function importPause(node: ClusterNode): Promise<void> {
  const ctr = (...args: string[]): Promise<{ stdout: string }> =>
    execa('ctr', ['--address', containerdSocket(node.runtime), '--namespace', 'k8s.io', ...args], {
      timeout: 30_000,
    });
  const { stdout } = await ctr('images', 'list', '--quiet', `name==${pauseImage}`);
  if (stdout.trim() === pauseImage) return;
  const archive = join(node.runtime, 'pause.tar');
  await writeFile(archive, await imageOf(await readFile(join(node.programs, 'pause'))));
  await ctr('images', 'import', archive);
  await rm(archive);
}

/** An OCI archive with one program. https://github.com/opencontainers/image-spec/blob/main/image-layout.md */
async function imageOf(program: Buffer): Promise<Buffer> {
  const type = 'application/vnd.oci.image';
  const layer = await tar([['pause', program]], 0o755);
  const config = json({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Entrypoint: ['/pause'], User: '65535:65535' },
    rootfs: { type: 'layers', diff_ids: [digestOfBytes(layer)] },
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: `${type}.manifest.v1+json`,
    config: { ...described(config), mediaType: `${type}.config.v1+json` },
    layers: [{ ...described(layer), mediaType: `${type}.layer.v1.tar` }],
  });
  const index = json({
    schemaVersion: 2,
    manifests: [
      {
        ...described(manifest),
        mediaType: `${type}.manifest.v1+json`,
        annotations: { 'io.containerd.image.name': pauseImage },
      },
    ],
  });
  const blobs = [layer, config, manifest].map((blob): [string, Buffer] => [
    `blobs/${digestOfBytes(blob).replace(':', '/')}`,
    blob,
  ]);
  return await tar(
    [['oci-layout', json({ imageLayoutVersion: '1.0.0' })], ['index.json', index], ...blobs],
    0o644,
  );
}

const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
const described = (blob: Buffer): object => ({ digest: digestOfBytes(blob), size: blob.length });

async function tar(files: [string, Buffer][], mode: number): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of files) archive.entry({ name, mode, mtime: new Date(0) }, content);
  archive.finalize();
  return await buffer(archive);
}
