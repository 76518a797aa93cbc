import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cleanupBuild } from '../../platform/images/source-image.js';
import { untilTrue } from '../support/until.js';
import { sleepers, sleepFor, sourceThatRuns, uniqueSeconds } from './sleeper.js';
import { BuildWorld } from './world.js';

test('cancelling stops the build in the engine and leaves nothing', async (t) => {
  const world = await BuildWorld.open(t);
  const seconds = uniqueSeconds();
  const stop = new AbortController();
  const build = await world.prepare({
    files: await sourceThatRuns(sleepFor(seconds)),
    signal: stop.signal,
  });
  const running = build.run();
  running.catch(() => undefined);
  await untilTrue(() => isRunning(seconds), 180_000);
  stop.abort(new Error('cancelled by the test'));
  await assert.rejects(running, /cancelled by the test/);
  await untilTrue(async () => !(await isRunning(seconds)), 180_000);
  assert.deepEqual(await world.left(build.repository), []);
  assert.deepEqual(await world.registry.listTags(build.repository), []);
});

test('a worker that is killed in the middle of a build leaves no container and no image', async (t) => {
  const world = await BuildWorld.open(t);
  const seconds = uniqueSeconds();
  const model = `killed-${process.pid}`;
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('build-and-sleep.js', import.meta.url)), model, seconds],
    { stdio: 'inherit' },
  );
  t.after(() => void child.kill('SIGKILL'));
  await untilTrue(() => isRunning(seconds), 180_000);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await untilTrue(async () => !(await isRunning(seconds)), 180_000);
  const tag = `slipway-build/${world.stack.name}:${model}.r1`;
  await cleanupBuild(world.docker, tag);
  assert.deepEqual(await world.left(model), []);
});

test('undoing the build of a worker that was given up stops it', async (t) => {
  const world = await BuildWorld.open(t);
  const seconds = uniqueSeconds();
  const build = await world.prepare({
    files: await sourceThatRuns(sleepFor(seconds)),
  });
  const running = build.run();
  running.catch(() => undefined);
  await untilTrue(() => isRunning(seconds), 180_000);
  await cleanupBuild(world.docker, build.tag);
  await assert.rejects(running);
  await untilTrue(async () => !(await isRunning(seconds)), 180_000);
  assert.deepEqual(await world.left(build.repository), []);
});

const isRunning = async (seconds: string): Promise<boolean> => (await sleepers(seconds)).length > 0;
