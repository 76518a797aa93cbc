import { join } from 'node:path';
import type { Image, ImageConfig } from '../../platform/images/image.js';
import { ociConfig, ociManifest } from '../../platform/images/manifest.js';
import type { Report } from '../local/report.js';
import type { Base } from './base.js';
import { packLayer, type Layer } from './layer.js';
import { stage } from './stage.js';

/** User of the image: nobody that a base has, and not root. */
const user = 65532;
/** Where the processes keep what they may lose; a volume where the file system is read-only. */
const home = 'var/lib/slipway';

export type Built = { image: Image; layers: Layer[] };

/** Makes the image of workers and server on a base: dependencies and code are layers of their own. */
export async function buildImage(
  base: Base,
  {
    folder,
    version,
    report,
    signal,
  }: { folder: string; version: string; report: Report; signal: AbortSignal },
): Promise<Built> {
  const { dependencies, code } = await stage(folder, report, signal);
  report.step('image', 'packing');
  const layers = [
    ...base.layers,
    await packLayer(
      [{ path: 'app/node_modules', from: dependencies }],
      join(folder, 'dependencies.tar.gz'),
      'npm install --omit=dev',
    ),
    await packLayer(
      [
        ...['package.json', 'dist', 'runtimes'].map((name) => ({
          path: `app/${name}`,
          from: join(code, name),
        })),
        { path: home, owner: user },
      ],
      join(folder, 'code.tar.gz'),
      `slipway ${version}`,
    ),
  ];
  const config: ImageConfig = {
    ...base.image.config,
    config: {
      ...base.image.config.config,
      User: `${user}:${user}`,
      WorkingDir: '/app',
      Env: environment(base.image.config.config?.Env ?? []),
      Entrypoint: ['node', '--enable-source-maps'],
      Cmd: ['dist/api/main.js'],
      ExposedPorts: { '7800/tcp': {}, '7801/tcp': {} },
      Labels: {
        'org.opencontainers.image.title': 'slipway',
        'org.opencontainers.image.version': version,
        'org.opencontainers.image.base.name': base.name,
      },
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    // No clock in it: equal content is an equal image.
    history: layers.map(({ createdBy }) => ({ created: '1970-01-01T00:00:00Z', created_by: createdBy })),
    created: '1970-01-01T00:00:00Z',
  };
  const manifest = {
    schemaVersion: 2 as const,
    mediaType: ociManifest,
    // Its digest and size are filled in when it is encoded.
    config: { ...base.image.manifest.config, mediaType: ociConfig },
    layers: layers.map(({ descriptor }) => descriptor),
  };
  return { image: { manifest, config }, layers };
}

function environment(given: readonly string[]): string[] {
  const own = { NODE_ENV: 'production', SLIPWAY_HOME: `/${home}`, HOME: '/tmp' };
  const kept = given.filter((pair) => !((pair.split('=')[0] ?? '') in own));
  return [...kept, ...Object.entries(own).map(([name, value]) => `${name}=${value}`)];
}
