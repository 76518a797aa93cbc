import assert from 'node:assert/strict';
import { appendFile, cp, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { pythonRuntime, readRuntime } from '../../platform/images/build/runtime.js';
import { examplesFolder } from '../support/models.js';

const runtime = join(dirname(examplesFolder()), 'runtimes', 'python');

test('a change of any file of the runtime changes its digest, and with it the key of source images', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-runtime-'));
  t.after(() => rm(folder, { recursive: true }));
  const root = join(folder, 'python');
  const copied = async () => {
    await rm(root, { recursive: true, force: true });
    await cp(runtime, root, { recursive: true });
    return readRuntime(root);
  };
  const { files, digest } = await copied();
  assert.equal(digest, pythonRuntime().digest);
  for (const path of ['slipway_runtime/drain.py', 'slipway_runtime/worker.py', 'requirements.txt'])
    assert.ok(files.has(path), path);
  for (const path of files.keys()) {
    await copied();
    await appendFile(join(root, path), '\n');
    assert.notEqual(readRuntime(root).digest, digest, path);
  }
  await copied();
  await rename(join(root, 'slipway_runtime/drain.py'), join(root, 'slipway_runtime/end.py'));
  assert.notEqual(readRuntime(root).digest, digest);
  // Its tests are in no image.
  await copied();
  await appendFile(join(root, 'tests/server.py'), '\n');
  assert.equal(readRuntime(root).digest, digest);
});
