import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { ImageRef } from '../../contract/names.js';
import { putTag } from '../../platform/images/publish.js';
import { TestRegistry } from '../support/registry.js';
import { PrivateEngine } from '../targets/engine.js';
import { append, MiB, noise, putSourceImage, sha256 } from './sample.js';
import { crane, skopeo } from './tools.js';

/** Other people's programs, none of which knows Slipway. Needs root, for engines of the test's own. */
describe('other programs take an image with appended weights for an ordinary one', () => {
  const weights = {
    'big.bin': noise(5 * MiB),
    'sub/größe.json': Buffer.from('{}'),
    [`${'deep/'.repeat(30)}long-${'n'.repeat(90)}.txt`]: Buffer.from('far down'),
  };
  let server: TestRegistry;
  let image: ImageRef;
  let name: string;
  let folder: string;
  before(async () => {
    server = await TestRegistry.start();
    const registry = server.client();
    ({ image } = await append(registry, await putSourceImage(registry), weights));
    await putTag(registry, image, 'shipped');
    name = `${server.host}/${image.repository}@${image.digest}`;
    folder = await mkdtemp(join(tmpdir(), 'slipway-clients-'));
    const auth = Buffer.from(`${server.username}:${server.password}`).toString('base64');
    await writeFile(join(folder, 'config.json'), JSON.stringify({ auths: { [server.host]: { auth } } }));
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** The files must be the weights, and nothing of what the source image had in their place. */
  async function assertFiles(root: string): Promise<void> {
    const model = join(root, 'app/model');
    assert.deepEqual((await readdir(model)).sort(), ['big.bin', 'deep', 'sub']);
    for (const [path, bytes] of Object.entries(weights))
      assert.equal(sha256(await readFile(join(model, path))), sha256(bytes), path);
    assert.equal(await readFile(join(root, 'app/src/main.py'), 'utf8'), 'print("ship")\n');
  }

  async function unpacked(tar: string): Promise<string> {
    const root = join(folder, `root-${tar}`);
    await mkdir(root);
    await execa('tar', ['-xf', join(folder, tar), '-C', root, '--no-same-owner', '--exclude=dev']);
    return root;
  }

  test('docker pulls it, and its containers have the files', async () => {
    const engine = await PrivateEngine.start();
    try {
      const docker = (...args: string[]) =>
        execa('docker', ['--config', folder, '-H', engine.address, ...args]);
      await docker('pull', '--quiet', name);
      const { stdout: container } = await docker('create', name);
      await docker('export', '-o', join(folder, 'docker.tar'), container);
      await assertFiles(await unpacked('docker.tar'));
      await docker('rm', container);
    } finally {
      await engine.close();
    }
  });

  test('containerd pulls it, and its snapshots have the files', async () => {
    const containerd = await startContainerd(folder);
    try {
      const user = `${server.username}:${server.password}`;
      await containerd.ctr('images', 'pull', '--plain-http', '--user', user, name);
      const mounted = join(folder, 'mounted');
      await mkdir(mounted);
      await containerd.ctr('images', 'mount', name, mounted);
      try {
        await assertFiles(mounted);
      } finally {
        await execa('umount', [mounted]);
      }
    } finally {
      await containerd.stop();
    }
  });

  test('skopeo copies it', async () => {
    const args = ['copy', '--src-tls-verify=false', '--authfile', join(folder, 'config.json')];
    await execa(await skopeo(), [...args, `docker://${name}`, `dir:${join(folder, 'copied')}`]);
    const copied = await readFile(join(folder, 'copied/manifest.json'));
    assert.equal(sha256(copied), image.digest);
  });

  test('crane finds it valid and exports its files', async () => {
    const run = async (...args: string[]) =>
      await execa(await crane(), args, { env: { DOCKER_CONFIG: folder } });
    await run('validate', '--fast', '--remote', name);
    // Its way to lay layers on one another knows no opaque folders; engines do, see above.
    const registry = server.client();
    const clean = await putSourceImage(registry, { stale: false });
    const { image: exported } = await append(registry, clean, weights);
    await run(
      'export',
      `${server.host}/${exported.repository}@${exported.digest}`,
      join(folder, 'crane.tar'),
    );
    await assertFiles(await unpacked('crane.tar'));
    const { stdout } = await run('digest', `${server.host}/${image.repository}:shipped`);
    assert.equal(stdout, image.digest);
  });
});

async function startContainerd(folder: string) {
  const home = join(folder, 'containerd');
  const address = join(home, 'sock');
  await mkdir(home);
  await writeFile(
    join(home, 'config.toml'),
    [
      'version = 2',
      `root = "${home}/root"`,
      `state = "${home}/state"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      `[grpc]\naddress = "${address}"`,
      `[ttrpc]\naddress = "${address}.ttrpc"`,
    ].join('\n'),
  );
  const daemon: ChildProcess = spawn('containerd', ['--config', join(home, 'config.toml')], {
    stdio: 'ignore',
  });
  const ctr = (...args: string[]) => execa('ctr', ['--address', address, ...args]);
  for (const end = Date.now() + 30_000; ; await sleep(100)) {
    const { failed } = await execa('ctr', ['--address', address, 'version'], { reject: false });
    if (!failed) break;
    if (Date.now() > end) throw new Error(`containerd in "${home}" does not start`);
  }
  return {
    ctr,
    stop: async () => {
      daemon.kill('SIGTERM');
      await once(daemon, 'exit');
    },
  };
}
