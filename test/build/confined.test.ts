import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceThatRuns } from './sleeper.js';
import { BuildWorld } from './world.js';

/** Tells its environment and every socket of its file system. */
const look = `
import os, stat
for name, value in os.environ.items():
    print(f"env {name}={value}")
for root, folders, files in os.walk("/"):
    if root == "/":
        folders[:] = [one for one in folders if one not in ("proc", "sys")]
    for name in files:
        path = os.path.join(root, name)
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            print("socket", path)
print("looked around")
`;

test('a step of a build sees no socket of an engine and nothing of the environment around it', async (t) => {
  const world = await BuildWorld.open(t);
  process.env['MARKER_OF_THE_WORKER'] = 'marker-value';
  t.after(() => delete process.env['MARKER_OF_THE_WORKER']);
  const build = await world.prepare({ files: await sourceThatRuns(look) });
  await assert.rejects(build.run(), /building the source image/);
  const told = world.lines.map((line) => line.trim());
  assert.ok(told.includes('looked around'), told.join('\n'));
  assert.deepEqual(
    told.filter((line) => line.startsWith('socket ')),
    [],
  );
  const env = told.filter((line) => line.startsWith('env '));
  assert.ok(env.some((line) => line.startsWith('env PATH=')));
  // Of the worker, of the engine, and of the stack that runs both.
  assert.deepEqual(
    env.filter((line) =>
      /MARKER_OF|marker-value|SLIPWAY|DOCKER|TEMPORAL|AWS_|SECRET|TOKEN|PASSWORD/i.test(line),
    ),
    [],
  );
  const { s3, registry, token, postgres } = world.stack;
  for (const secret of [s3.secretKey, registry.password, token, new URL(postgres).password])
    assert.ok(!told.join('\n').includes(secret));
});
