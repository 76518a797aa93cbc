import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { lock } from 'proper-lockfile';
import { digestOf, hexOf, type Digest } from '../../contract/names.js';
import type { Registry } from '../../platform/images/index.js';
import { ociManifest } from '../../platform/images/manifest.js';

const program = fileURLToPath(new URL('../../infra/image/main.js', import.meta.url));

/** `npm run image`; answers however it ends. */
export const buildImage = (...args: string[]) =>
  execa(process.execPath, [program, ...args], { reject: false });

/** Slipway's own image: a file that engines load, and the name it gets there. */
export type OwnImage = { file: string; name: string; digest: Digest };

/** Slipway's own image, built by whichever test file of the run asks first: that takes half a minute of a processor. */
export async function ownImage(): Promise<OwnImage> {
  const folder = join(tmpdir(), `slipway-own-image-${process.env['SLIPWAY_TEST_RUN'] ?? process.pid}`);
  await mkdir(folder, { recursive: true });
  const [file, told] = [join(folder, 'image.tar'), join(folder, 'image.json')];
  const release = await lock(folder, {
    ...{ stale: 20_000, update: 5_000 },
    retries: { forever: true, minTimeout: 250, maxTimeout: 1_000 },
  });
  try {
    if (!existsSync(told)) {
      const { stdout, stderr, exitCode } = await buildImage('--base', 'debian', '--output', file, '--json');
      if (exitCode !== 0) throw new Error(`building Slipway's own image: status ${exitCode}\n${stderr}`);
      await writeFile(`${told}.partial`, stdout);
      await rename(`${told}.partial`, told);
    }
  } finally {
    await release();
  }
  const { image, digest } = JSON.parse(await readFile(told, 'utf8')) as { image: string; digest: Digest };
  return { file, name: image, digest };
}

/** Puts Slipway's own image into a repository, as others do with the file: by what is in it. Answers its digest. */
export async function pushOwnImage(registry: Registry, repository: string): Promise<Digest> {
  const { file, digest } = await ownImage();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-image-layout-'));
  const watch = { signal: AbortSignal.timeout(300_000), onProgress: () => undefined };
  try {
    await execa('tar', ['--extract', '--file', file, '--directory', folder]);
    const blobs = join(folder, 'blobs', 'sha256');
    for (const name of await readdir(blobs)) {
      const path = join(blobs, name);
      const open = (start: number) => createReadStream(path, { start });
      await registry.putBlob(
        repository,
        { digest: digestOf(name), size: (await stat(path)).size, open },
        watch,
      );
    }
    return await registry.putManifest(repository, await readFile(join(blobs, hexOf(digest))), ociManifest);
  } finally {
    await rm(folder, { recursive: true });
  }
}
