import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { goBuild } from './go.js';
import type { Tool } from './tool.js';

const version = '1.34.4';
/** In the repository: Go is not compiled into `dist/`. */
const module = fileURLToPath(new URL('../../../../infra/local/kubernetes/programs', import.meta.url));

const programs = [
  ...['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy'],
  ...['coredns', 'kubectl'],
];

/** What is built follows from these files: another content is another version. */
function contentOf(): string {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum', 'main.go', join('pause', 'main.go')])
    hash.update(readFileSync(join(module, file)));
  return hash.digest('hex').slice(0, 12);
}

/** https://github.com/kubernetes/kubernetes/blob/master/hack/lib/version.sh */
const versionFlags = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((name) => {
  const [major, minor] = version.split('.');
  const values = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  return Object.entries({ ...values, gitCommit: 'module', buildDate: '2026-01-01T00:00:00Z' }).map(
    ([key, value]) => `-X ${name}.${key}=${value}`,
  );
});

/**
 * Every program of a Kubernetes node in one, `pause` beside it, and a link for each name it is called by. Nobody
 * publishes such a thing, and a node of parts found on PATH would be of parts that do not fit each other.
 */
export const kube: Tool = {
  name: 'kube',
  commands: [],
  floor: { version, read: /v(\d+\.\d+\.\d+)/ },
  sources: [
    goBuild({
      module,
      packages: ['.', './pause'],
      ldflags: ['-s', '-w', ...versionFlags].join(' '),
      version: `${version}-${contentOf()}`,
      program: 'kube',
      size: 2_800,
      finish: async (folder) => {
        for (const name of programs) await symlink('kube', join(folder, name));
      },
    }),
  ],
  advice:
    'Install Go 1.24 or newer (https://go.dev/dl/), or give a cluster with "slipway up --kubeconfig FILE", then run "slipway up" again.',
};
