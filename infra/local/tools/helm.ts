import { download, platform } from './download.js';
import { goInstall } from './go.js';
import type { Tool } from './tool.js';

const version = '3.19.5';
const url = `https://get.helm.sh/helm-v${version}-${platform.os}-${platform.arch}.tar.gz`;

/** Installs charts. The local stack does without it; the chart's tests do not. */
export const helm: Tool = {
  name: 'helm',
  commands: ['helm'],
  floor: { version: '3.14', read: /v(\d+\.\d+(\.\d+)?)/, ask: ['version', '--short'] },
  sources: [
    download({
      url,
      sums: `${url}.sha256sum`,
      form: 'tar.gz',
      program: `${platform.os}-${platform.arch}/helm`,
      version,
    }),
    goInstall({ module: 'helm.sh/helm/v3/cmd/helm', moduleVersion: `v${version}`, program: 'helm', version }),
  ],
  advice:
    'Install Helm 3.14 or newer and put it on PATH (https://helm.sh/docs/intro/install), then try again.',
};
