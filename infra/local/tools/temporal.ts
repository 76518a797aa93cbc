import { download, platform } from './download.js';
import { goInstall } from './go.js';
import type { Tool } from './tool.js';

const version = '1.5.1';
const releases = `https://github.com/temporalio/cli/releases/download/v${version}`;

/** The Temporal CLI, which holds the dev server. Newer ones cannot be built with `go install`. */
export const temporal: Tool = {
  name: 'temporal',
  commands: ['temporal'],
  floor: { version: '1.27', read: /Server (\d+\.\d+\.\d+)/ },
  sources: [
    download({
      url: `${releases}/temporal_cli_${version}_${platform.os}_${platform.arch}.tar.gz`,
      sums: `${releases}/checksums.txt`,
      form: 'tar.gz',
      program: 'temporal',
      version,
    }),
    goInstall({
      module: 'github.com/temporalio/cli/cmd/temporal',
      moduleVersion: `v${version}`,
      program: 'temporal',
      version,
    }),
  ],
  advice:
    'Install the Temporal CLI and put it on PATH (https://docs.temporal.io/cli), then run "slipway up" again.',
};
