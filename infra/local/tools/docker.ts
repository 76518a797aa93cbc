import { apt } from './apt.js';
import { download } from './download.js';
import type { Tool } from './tool.js';

const version = '27.5.1';
const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** The Docker engine for a stack that has to run its own; Linux only. Its publisher gives no sums. */
export const docker: Tool = {
  name: 'dockerd',
  commands: ['dockerd'],
  floor: { version: '20.10', read: /version (\d+\.\d+\.\d+)/ },
  sources: [
    apt('docker.io', 'iproute2'),
    download({
      url: `https://download.docker.com/linux/static/stable/${machine}/docker-${version}.tgz`,
      form: 'tar.gz',
      program: 'docker/dockerd',
      version,
    }),
  ],
  advice:
    'Install Docker (https://docs.docker.com/engine/install/) and start it, or set DOCKER_HOST to one that runs, then run "slipway up" again.',
};
