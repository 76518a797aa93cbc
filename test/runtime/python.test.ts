import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { execa } from 'execa';
import { irisImage } from '../build/iris.js';
import { BuildWorld } from '../build/world.js';
import { examplesFolder } from '../support/models.js';

const folder = join(dirname(examplesFolder()), 'runtimes', 'python');
const unittest = ['-m', 'unittest', 'discover', '-s', 'tests', '-t', '.'];

test('the server in the images answers the serving contract', async (t) => {
  const { exitCode, output } = (await hasServer('python3')) ? await here() : await inImage(t);
  assert.equal(exitCode, 0, output);
  assert.match(output, /Ran [2-9]\d tests/);
});

async function hasServer(python: string): Promise<boolean> {
  const { exitCode } = await execa(python, ['-c', 'import gunicorn, prometheus_client, numpy'], {
    reject: false,
  });
  return exitCode === 0;
}

async function here(): Promise<{ exitCode: number; output: string }> {
  const env = { PYTHONDONTWRITEBYTECODE: '1' };
  const { exitCode, all } = await execa('python3', unittest, { cwd: folder, env, reject: false, all: true });
  return { exitCode: exitCode ?? 1, output: all };
}

/** In an image that Slipway builds: with the very packages, user and file system that models are served with. */
async function inImage(t: TestContext): Promise<{ exitCode: number; output: string }> {
  const world = await BuildWorld.open(t);
  // Has numpy.
  const reference = await world.pull(t, await irisImage(world));
  const container = await world.docker.createContainer({
    Image: reference,
    // That of the example's weights: servers under test load others.
    Entrypoint: ['env', '-u', 'SLIPWAY_LOAD', '/opt/slipway/venv/bin/python'],
    Cmd: unittest,
    WorkingDir: '/tests',
    HostConfig: {
      Binds: [`${folder}:/tests:ro`],
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': 'rw,exec' },
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
    },
  });
  t.after(() => container.remove({ force: true }));
  await container.start();
  const { StatusCode } = (await container.wait()) as { StatusCode: number };
  const output = String(await container.logs({ stdout: true, stderr: true }));
  return { exitCode: StatusCode, output };
}
