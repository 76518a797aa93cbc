import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { SlipwayError } from '../../contract/errors.js';
import { cleanupBuild } from '../../platform/images/source-image.js';
import { examplesFolder } from '../support/models.js';
import { BuildWorld } from './world.js';

const greeter = async (): Promise<Record<string, Buffer | string>> => ({
  'k8s_api_model.py': await readFile(join(examplesFolder(), 'greeter/source/k8s_api_model.py')),
});

test('a requirement that does not exist fails the build with the words of pip', async (t) => {
  const world = await BuildWorld.open(t);
  const files = { ...(await greeter()), 'requirements.txt': 'nosuchpkg-of-anybody==9\n' };
  const build = await world.prepare({ files });
  await assert.rejects(build.run(), (error: unknown) => {
    assert.ok(error instanceof SlipwayError, String(error));
    assert.equal(error.type, 'BuildFailed');
    assert.match(error.message, /ERROR: No matching distribution found for nosuchpkg-of-anybody==9/);
    assert.match(String(error.details['step']), /install\.sh/);
    assert.match(JSON.stringify(error.details['lines']), /Could not find a version/);
    return true;
  });
  assert.ok(world.lines.some((line) => line.includes('No matching distribution')));
  assert.deepEqual(await world.left(build.repository), []);
  assert.deepEqual(await world.registry.listTags(build.repository), []);
});

test('a build that prints a line of 3 MB fails with what can be read, and carried', async (t) => {
  const world = await BuildWorld.open(t);
  const long = `${'x'.repeat(3_000_000)} !`;
  const build = await world.prepare({ files: { ...(await greeter()), 'requirements.txt': `${long}\n` } });
  await assert.rejects(build.run(), (error: unknown) => {
    assert.ok(error instanceof SlipwayError, String(error));
    assert.equal(error.type, 'BuildFailed');
    assert.match(error.message, /^building the source image: ERROR: Invalid requirement: 'xxx/);
    // Thirty lines of that length are what is kept at most.
    const size = JSON.stringify([error.message, error.details]).length;
    assert.ok(size < 70_000, `${size} bytes`);
    return true;
  });
  assert.ok(world.lines.every((line) => line.length <= 2_100));
  assert.deepEqual(await world.left(build.repository), []);
});

test('a Python that the base image does not have fails the build and names both versions', async (t) => {
  const world = await BuildWorld.open(t);
  const build = await world.prepare({ files: { ...(await greeter()), 'slipway.yaml': "python: '3.4'\n" } });
  await assert.rejects(build.run(), {
    type: 'BuildFailed',
    message: /the base image has Python 3\.\d+, slipway\.yaml asks for 3\.4/,
  });
});

test('credentials that the registry refuses fail the push, and nothing stays on the engine', async (t) => {
  const world = await BuildWorld.open(t);
  const build = await world.prepare({
    files: await greeter(),
    credentials: { username: 'a', password: 'b-wrong' },
  });
  await assert.rejects(build.run(), (error: unknown) => {
    assert.ok(error instanceof SlipwayError, String(error));
    assert.equal(error.type, 'PushFailed');
    assert.doesNotMatch(error.message + JSON.stringify(error.details), /b-wrong/);
    return true;
  });
  assert.deepEqual(await world.left(build.repository), []);
});

test('certificate authorities that cannot be read are named before anything is built', async (t) => {
  const world = await BuildWorld.open(t);
  const build = await world.prepare({ files: await greeter(), build: { caBundle: '/nowhere/ca.pem' } });
  await assert.rejects(build.run(), { type: 'InvalidInput', message: /"\/nowhere\/ca\.pem"/ });
});

test('a file that vanishes while the context is sent fails the build for now, and is named', async (t) => {
  const world = await BuildWorld.open(t);
  const files = { ...(await greeter()), 'data.bin': Buffer.alloc(1000) };
  const build = await world.prepare({ files });
  await build.remove('data.bin');
  await assert.rejects(build.run(), (error: unknown) => {
    assert.ok(!(error instanceof SlipwayError), 'it may pass');
    assert.match(String(error), /ENOENT.*data\.bin|data\.bin/);
    return true;
  });
  assert.deepEqual(await world.left(build.repository), []);
});

test('an engine that is not there may come back', async (t) => {
  const world = await BuildWorld.open(t, { docker: 'unix:///tmp/no-such-engine.sock' });
  const build = await world.prepare({ files: await greeter() });
  await assert.rejects(build.run(), (error: unknown) => !(error instanceof SlipwayError));
});

test('cleaning up after a build that never began changes nothing', async (t) => {
  const world = await BuildWorld.open(t);
  await cleanupBuild(world.docker, `slipway-build/${world.stack.name}:nothing.r1`);
  await cleanupBuild(world.docker, `slipway-build/${world.stack.name}:nothing.r1`);
});
