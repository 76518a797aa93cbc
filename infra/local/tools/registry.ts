import { fromPackage } from './apt.js';
import { download, platform } from './download.js';
import { goInstall } from './go.js';
import type { Source, Tool } from './tool.js';

const version = '2.8.3';
const url = `https://github.com/distribution/distribution/releases/download/v${version}/registry_${version}_${platform.os}_${platform.arch}.tar.gz`;

/** Binaries are published for Linux only. */
const releases: Source[] =
  process.platform === 'linux'
    ? [download({ url, sums: `${url}.sha256`, form: 'tar.gz', program: 'registry', version })]
    : [];

/** The CNCF distribution registry. */
export const registry: Tool = {
  name: 'registry',
  commands: ['docker-registry', 'registry'],
  floor: { version: '2.8', read: /v?(\d+\.\d+\.\d+)\S*\s*$/ },
  sources: [
    ...releases,
    fromPackage('docker-registry', 'usr/bin/docker-registry'),
    goInstall({
      module: 'github.com/distribution/distribution/v3/cmd/registry',
      moduleVersion: 'v3.0.0',
      program: 'registry',
      version: '3.0.0',
    }),
  ],
  advice:
    'Install the CNCF distribution registry and put it on PATH as "registry" (https://distribution.github.io/distribution), then run "slipway up" again.',
};
