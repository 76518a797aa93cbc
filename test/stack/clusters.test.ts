import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import type { Stack } from '../../contract/stack.js';
import { whyNoCluster } from '../../infra/local/cluster.js';
import { cacheFolder, findHome } from '../../infra/local/home.js';
import { leftovers, traces } from '../../infra/local/leftovers.js';
import { findOwned } from '../../infra/local/processes.js';
import { loadStack } from '../../platform/stack.js';
import { testCluster, type TestCluster } from '../support/cluster.js';
import { slipway, up } from './cli.js';

/** A second stack on the machine, beside the one of the run which has a cluster. */
describe('which cluster a stack has', () => {
  let first: TestCluster;
  let root: string;
  let env: NodeJS.ProcessEnv;
  const stackFile = (): Promise<Stack> => loadStack(join(root, 'stack.json'));
  before(async () => {
    first = await testCluster();
    root = join(await mkdtemp(join(tmpdir(), 'slipway-clusters-')), 'home');
    env = {
      SLIPWAY_HOME: root,
      SLIPWAY_STACK: join(root, 'stack.json'),
      DOCKER_HOST: first.stack.docker,
    };
  });
  after(async () => {
    await slipway(['down', '--purge'], env);
    await rm(join(root, '..'), { recursive: true, force: true });
  });

  test('none where the machine lets a node have no network: it is said why, and everything else runs', async () => {
    const { exitCode, stdout, stderr } = await execa(
      'setpriv',
      [
        ...['--bounding-set', '-net_admin', '--inh-caps', '-net_admin', '--', process.execPath],
        ...[fileURLToPath(new URL('../../cli/main.js', import.meta.url)), 'up', '--kubernetes'],
      ],
      { env, reject: false, stdin: 'ignore' },
    );
    assert.equal(exitCode, 0, stderr);
    assert.match(
      stdout,
      /There is no Kubernetes cluster: this machine does not let a node have its namespaces: .*not permitted/,
    );
    const { cluster, gateway } = await stackFile();
    assert.equal(cluster, null);
    assert.equal((await fetch(`${gateway}/healthz`)).status, 200);
  });

  test('none without root or without Linux, each with its reason', async () => {
    assert.match((await whyNoCluster({ platform: 'darwin', user: 0 })) ?? '', /needs Linux.*darwin/);
    assert.match((await whyNoCluster({ platform: 'linux', user: 1000 })) ?? '', /needs root.*1000/);
  });

  test('one that cannot be got fails the command, and everything else runs', async () => {
    const cache = join(root, '..', 'cache');
    await mkdir(join(cache, 'slipway', 'tools'), { recursive: true });
    await symlink(cacheFolder('images'), join(cache, 'slipway', 'images'));
    for (const tool of (await readdir(cacheFolder('tools'))).filter((name) => !/^(\.|kube-)/.test(name)))
      await symlink(cacheFolder('tools', tool), join(cache, 'slipway', 'tools', tool));
    const folders = (process.env['PATH'] ?? '')
      .split(':')
      .filter((folder) => !existsSync(join(folder, 'go')));
    const poor = { ...env, XDG_CACHE_HOME: cache, PATH: folders.join(':') };
    const { exitCode, stderr } = await slipway(['up', '--kubernetes'], poor);
    assert.equal(exitCode, 1);
    assert.match(stderr, /finding "kube": nothing worked\n.*Go is not installed/);
    assert.match(stderr, /Install Go .* or give a cluster with "slipway up --kubeconfig FILE"/);
    const { cluster, gateway } = await stackFile();
    assert.equal(cluster, null);
    assert.equal((await fetch(`${gateway}/healthz`)).status, 200);
  });

  test('one that is given needs to know where its nodes reach the registry', async () => {
    const { exitCode, stderr } = await slipway(['up', '--kubernetes'], {
      ...env,
      KUBECONFIG: first.kubeconfig,
    });
    assert.equal(exitCode, 1);
    assert.match(stderr, /--cluster-registry HOST:PORT or SLIPWAY_CLUSTER_REGISTRY/);
    const missing = await slipway(['up', '--kubeconfig', '/no/such', '--cluster-registry', 'here:5000'], env);
    assert.equal(missing.exitCode, 1);
    assert.match(missing.stderr, /"\/no\/such".*no such file/);
    const wrong = await slipway(
      ['up', '--kubeconfig', first.kubeconfig, '--cluster-registry', 'http://x'],
      env,
    );
    assert.equal(wrong.exitCode, 1);
    assert.match(wrong.stderr, /"http:\/\/x".*not HOST:PORT/);
  });

  test('one that is given is used as it is, nothing is started, and the choice is remembered', async () => {
    const given = { ...env, KUBECONFIG: first.kubeconfig, SLIPWAY_CLUSTER_REGISTRY: 'registry.test:5000' };
    const states = await up(given);
    assert.equal(states['kubernetes'], undefined);
    const { cluster, kubeconfig } = await stackFile();
    assert.equal(kubeconfig, first.kubeconfig);
    assert.equal(cluster?.kubeconfig, first.kubeconfig);
    assert.equal(cluster?.registry, 'registry.test:5000');
    assert.deepEqual(await findOwned(`${findHome(root).name}/kubernetes`), []);
    await up(env);
    assert.deepEqual((await stackFile()).cluster, cluster);
    assert.match((await slipway(['doctor'], env)).stdout, /✓ cluster +Kubernetes v1\.\S+, by /);
  });

  test('one that is given and does not answer is named by doctor', async () => {
    const text = await readFile(first.kubeconfig, 'utf8');
    const away = join(root, 'away.yaml');
    await writeFile(away, text.replace(/server: .*/, 'server: https://127.0.0.1:1'));
    await up({ ...env, KUBECONFIG: away, SLIPWAY_CLUSTER_REGISTRY: 'registry.test:5000' });
    const { exitCode, stdout } = await slipway(['doctor'], env);
    assert.equal(exitCode, 1);
    assert.match(stdout, /✗ cluster +\S+away\.yaml: .*ECONNREFUSED/);
    await rm(away);
    assert.match((await slipway(['doctor'], env)).stdout, /✗ cluster +.*away\.yaml: .*ENOENT|no such file/);
  });

  test('its own beside that of another stack, each apart, remembered by a plain up', async () => {
    const { exitCode, stderr } = await slipway(['up', '--kubernetes'], env);
    assert.equal(exitCode, 0, stderr);
    const { cluster } = await stackFile();
    assert.ok(cluster?.kubeconfig);
    assert.notEqual(cluster.address, first.config.address);
    const ask = async (...args: string[]): Promise<string> =>
      await first.kubectl(['--kubeconfig', cluster.kubeconfig as string, ...args]);
    await ask('create', 'namespace', 'only-here');
    assert.match(await first.kubectl(['get', 'nodes']), /local +Ready/);
    await assert.rejects(first.kubectl(['get', 'namespace', 'only-here']), /not found/);

    assert.equal((await slipway(['down'], env)).exitCode, 0);
    assert.equal((await up(env))['kubernetes'], 'started');
    assert.match(await ask('get', 'namespace', 'only-here'), /Active/);
    assert.deepEqual((await stackFile()).cluster, cluster);
  });

  test('none any more once it is not wanted; purged, nothing of it is left', async () => {
    const before = await traces(findHome(root));
    assert.equal((await up(env))['kubernetes'], 'running');
    const { exitCode, stderr } = await slipway(['up', '--no-kubernetes'], env);
    assert.equal(exitCode, 0, stderr);
    assert.equal((await stackFile()).cluster, null);
    assert.deepEqual(await findOwned(`${findHome(root).name}/kubernetes`), []);
    assert.equal(existsSync(join(root, 'kubeconfig')), false);
    assert.equal((await up(env))['kubernetes'], undefined);

    assert.equal((await slipway(['up', '--kubernetes'], env)).exitCode, 0);
    assert.equal((await slipway(['down', '--purge'], env)).exitCode, 0);
    assert.deepEqual(await leftovers(before), []);
    assert.match(await first.kubectl(['get', 'nodes']), /local +Ready/);
  });
});
