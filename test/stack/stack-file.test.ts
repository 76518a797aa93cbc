import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Stack } from '../../contract/stack.js';
import { findHome } from '../../infra/local/home.js';
import { portNames, type Ports } from '../../infra/local/ports.js';
import { loadSettings, type Settings } from '../../infra/local/settings.js';
import { writeStack } from '../../infra/local/stack-file.js';

test('what was changed in the stack file is kept, and what a stack begins with is not put back', async () => {
  const root = await mkdtemp(join(tmpdir(), 'slipway-stack-file-'));
  try {
    const home = { ...findHome(root), stackFile: join(root, 'stack.json') };
    const cluster: Settings['cluster'] = { kind: 'own', subnet: 1, token: 't' };
    const settings = { ...(await loadSettings(home)), cluster };
    const ports = Object.fromEntries(portNames.map((name, at) => [name, 7_800 + at])) as Ports;
    const base = { repository: 'base', digest: `sha256:${'a'.repeat(64)}` } as Stack['base'];
    const engine = { kind: 'private', docker: 'unix:///run/docker.sock' } as const;
    const write = () => writeStack(home, settings, ports, engine, base);

    const first = await write();
    assert.deepEqual(first.analysis, { allow: ['127.0.0.0/8', '::1'] });
    assert.deepEqual([first.registry.pull, first.cluster?.egress], [undefined, 'none']);

    const changed = {
      ...first,
      temporal: { ...first.temporal, encryption: { keys: [{ id: 'one', file: '/etc/slipway/one.key' }] } },
      registry: { ...first.registry, pull: { username: 'reader', password: 'may read' } },
      cluster: { ...first.cluster!, egress: 'open' },
      analysis: { allow: [] },
      allowPickle: false,
    };
    await writeFile(home.stackFile, JSON.stringify(changed));
    assert.deepEqual(await write(), changed);
  } finally {
    await rm(root, { recursive: true });
  }
});
