import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import type Docker from 'dockerode';
import getPort from 'get-port';
import { pack } from 'tar-stream';
import { labels } from '../../contract/serving.js';
import { connectEngine } from '../../infra/local/engine.js';
import { findHome } from '../../infra/local/home.js';
import { findOwned } from '../../infra/local/processes.js';
import { engineLines } from '../../platform/images/build/engine-stream.js';
import { loadStack } from '../../platform/stack.js';
import { testStack } from '../support/stack.js';
import { slipway, up } from './cli.js';

/** A second stack, on the engine of the first: what two people on one machine have. */
describe('a stack on an engine that others use too', () => {
  let root: string;
  let env: NodeJS.ProcessEnv;
  let taken: Server;
  let takenPort: number;
  let docker: string;
  before(async () => {
    ({ docker } = await testStack());
    root = join(await mkdtemp(join(tmpdir(), 'slipway-second-')), 'home');
    // Not one of those that systems give to clients: the others near it must be free again later.
    takenPort = await getPort({ host: '127.0.0.1', port: randomInt(1010, 1900) * 10 });
    taken = createServer().listen(takenPort, '127.0.0.1');
    env = {
      SLIPWAY_HOME: root,
      SLIPWAY_STACK: join(root, 'stack.json'),
      DOCKER_HOST: docker,
      SLIPWAY_PORT_BASE: String(takenPort),
    };
  });
  after(async () => {
    await slipway(['down', '--purge'], env);
    taken.close();
    await rm(join(root, '..'), { recursive: true, force: true });
  });

  test('comes up on other ports where the usual ones are taken, and keeps them', async () => {
    await up(env);
    const first = await loadStack(join(root, 'stack.json'));
    assert.notEqual(new URL(first.gateway).port, String(takenPort), 'the gateway would have had it');
    assert.equal(first.docker, docker);
    assert.notEqual(first.name, (await testStack()).name);
    assert.equal((await slipway(['down'], env)).exitCode, 0);
    await up(env);
    assert.deepEqual(await loadStack(join(root, 'stack.json')), first);
  });

  test('purged, it leaves nothing of its own and everything of others', async () => {
    const stack = await loadStack(join(root, 'stack.json'));
    const engine = connectEngine(docker);
    const own = { label: [`${labels.stack}=${stack.name}`] };
    await engine.createNetwork({ Name: 'slipway-test-second', Labels: { [labels.stack]: stack.name } });
    const registry = new URL(stack.registry.url).host;
    const others = await makeThings(engine, `slipway-test-${randomBytes(4).toString('hex')}`);
    await engine.getImage(others).tag({ repo: `${registry}/slipway/second`, tag: 'one' });

    const { exitCode, stderr } = await slipway(['down', '--purge'], env);
    assert.equal(exitCode, 0, stderr);
    assert.deepEqual(await engine.listNetworks({ filters: own }), []);
    assert.deepEqual(await engine.listContainers({ all: true, filters: own }), []);
    const names = (await engine.listImages()).flatMap(({ RepoTags }) => RepoTags ?? []);
    assert.ok(!names.some((name) => name.startsWith(`${registry}/`)), names.join(' '));
    assert.ok(names.includes(`${others}:latest`), names.join(' '));
    await engine.getContainer(others).remove();
    await engine.getNetwork(others).remove();
    await engine.getImage(others).remove();
    assert.equal(existsSync(root), false);
    assert.deepEqual(await findOwned(findHome(root).name), []);
    await engine.ping();
  });
});

/** An image, a network and a container, as another stack on the engine has them, all of this name. */
async function makeThings(engine: Docker, name: string): Promise<string> {
  const archive = pack();
  archive.entry({ name: 'empty' }, '');
  archive.finalize();
  const importing = await engine.importImage(Readable.from(archive), { repo: name, tag: 'latest' });
  for await (const _ of engineLines(importing));
  const Labels = { [labels.stack]: name };
  await engine.createNetwork({ Name: name, Labels });
  await engine.createContainer({ name, Image: name, Cmd: ['none'], Labels });
  return name;
}
