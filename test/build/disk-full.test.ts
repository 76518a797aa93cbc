import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlipwayError } from '../../contract/errors.js';
import { PrivateEngine } from '../targets/engine.js';
import { untilTrue } from '../support/until.js';
import { sleepers, sleepFor, sourceThatRuns, uniqueSeconds } from './sleeper.js';
import { BuildWorld } from './world.js';

test('a build that fills the disk of the engine fails and says so, and leaves nothing', async (t) => {
  const engine = await PrivateEngine.start({ megabytes: 700 });
  t.after(() => engine.close());
  const world = await BuildWorld.open(t, { docker: engine.address });
  const fill = 'open("/opt/filler", "wb").write(b"x" * 10**9)';
  const build = await world.prepare({ files: await sourceThatRuns(fill) });
  await assert.rejects(build.run(), (error: unknown) => {
    assert.ok(error instanceof SlipwayError, String(error));
    assert.equal(error.type, 'BuildFailed');
    assert.match(error.message, /the disk of the build engine is full/);
    return true;
  });
  assert.deepEqual(await world.left(build.repository), []);
  assert.deepEqual(await world.registry.listTags(build.repository), []);
});

test('an engine that is killed in the middle of a build is a passing fault, and its step ends', async (t) => {
  const engine = await PrivateEngine.start();
  t.after(() => engine.close());
  const world = await BuildWorld.open(t, { docker: engine.address });
  const seconds = uniqueSeconds();
  const build = await world.prepare({ files: await sourceThatRuns(sleepFor(seconds)) });
  const running = build.run();
  running.catch(() => undefined);
  await untilTrue(async () => (await sleepers(seconds)).length > 0, 180_000);
  await engine.down('SIGKILL');
  await assert.rejects(running, (error: unknown) => !(error instanceof SlipwayError));
  await untilTrue(async () => (await sleepers(seconds)).length === 0, 180_000);
  await engine.up();
  assert.deepEqual(await world.left(build.repository), []);
});
