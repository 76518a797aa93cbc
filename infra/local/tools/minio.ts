import { download, platform } from './download.js';
import { goInstall } from './go.js';
import type { Tool } from './tool.js';

/** The last release that was published as a binary; later ones are source only. */
const release = 'RELEASE.2025-09-07T16-13-09Z';
const url = `https://dl.min.io/server/minio/release/${platform.os}-${platform.arch}/archive/minio.${release}`;

/** MinIO, the S3 server. */
export const minio: Tool = {
  name: 'minio',
  commands: ['minio'],
  floor: { version: '2024-01-01', read: /RELEASE\.(\d{4}-\d\d-\d\d)/ },
  sources: [
    download({ url, sums: `${url}.sha256sum`, form: 'program', program: 'minio', version: '20250907161309' }),
    goInstall({
      module: 'github.com/minio/minio',
      moduleVersion: 'v0.0.0-20260212201848-7aac2a2c5b7c',
      program: 'minio',
      version: '20260212201848',
    }),
  ],
  advice:
    'Install MinIO and put it on PATH as "minio" (https://github.com/minio/minio), then run "slipway up" again.',
};
