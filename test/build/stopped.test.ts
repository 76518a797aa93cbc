import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cleanupBuild } from '../../platform/images/source-image.js';
import { sourceThatRuns } from './sleeper.js';
import { BuildWorld } from './world.js';

/** A number that no other process has in its command line. */
const marker = (): string => `31${process.pid}.${Date.now() % 1e6}`;

test('cancelling stops the build in the engine and leaves nothing', async (t) => {
  const world = await BuildWorld.open(t);
  const seconds = marker();
  const stop = new AbortController();
  const build = await world.prepare({
    files: await sourceThatRuns(`import subprocess; subprocess.run(["sleep", "${seconds}"])`),
    signal: stop.signal,
  });
  const running = build.run();
  running.catch(() => undefined);
  await until(() => isRunning(seconds), 'the build sleeps');
  stop.abort(new Error('cancelled by the test'));
  await assert.rejects(running, /cancelled by the test/);
  await until(async () => !(await isRunning(seconds)), 'the sleep has ended');
  assert.deepEqual(await world.left(build.repository), []);
  assert.deepEqual(await world.registry.listTags(build.repository), []);
});

test('a worker that is killed in the middle of a build leaves no container and no image', async (t) => {
  const world = await BuildWorld.open(t);
  const seconds = marker();
  const model = `killed-${process.pid}`;
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('build-and-sleep.js', import.meta.url)), model, seconds],
    { stdio: 'inherit' },
  );
  t.after(() => void child.kill('SIGKILL'));
  await until(() => isRunning(seconds), 'the build sleeps');
  child.kill('SIGKILL');
  await once(child, 'exit');
  await until(async () => !(await isRunning(seconds)), 'the sleep has ended');
  const tag = `slipway-build/${world.stack.name}:${model}.r1`;
  await cleanupBuild(world.docker, tag);
  assert.deepEqual(await world.left(model), []);
});

test('undoing the build of a worker that was given up stops it', async (t) => {
  const world = await BuildWorld.open(t);
  const seconds = marker();
  const build = await world.prepare({
    files: await sourceThatRuns(`import subprocess; subprocess.run(["sleep", "${seconds}"])`),
  });
  const running = build.run();
  running.catch(() => undefined);
  await until(() => isRunning(seconds), 'the build sleeps');
  await cleanupBuild(world.docker, build.tag);
  await assert.rejects(running);
  await until(async () => !(await isRunning(seconds)), 'the sleep has ended');
  assert.deepEqual(await world.left(build.repository), []);
});

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + 60_000; !(await holds()); await delay(100))
    if (Date.now() > end) throw new Error(`after 60 s it is still not so that ${what}`);
}

/** Steps of a build are processes of this machine. */
async function isRunning(seconds: string): Promise<boolean> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command === `sleep\0${seconds}\0`) return true;
  }
  return false;
}
