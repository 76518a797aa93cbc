import { goInstall } from './go.js';
import type { Tool } from './tool.js';

const version = '0.7.0';

/** Simulates nodes and their pods for a control plane; no part of a stack, but of tests and benchmarks at scale. */
export const kwok: Tool = {
  name: 'kwok',
  commands: ['kwok'],
  // One that was built from its module does not know its version.
  floor: { version, read: /v(\d+\.\d+\.\d+)/ },
  sources: [
    goInstall({
      module: 'sigs.k8s.io/kwok/cmd/kwok',
      moduleVersion: `v${version}`,
      program: 'kwok',
      version,
    }),
  ],
  advice: 'Install Go (https://go.dev/dl/), or put kwok on PATH (https://kwok.sigs.k8s.io).',
};
