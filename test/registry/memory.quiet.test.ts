import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { growthOf, mebibyte, noiseStream } from '../support/memory.js';
import { TestRegistry } from '../support/registry.js';
import { putSourceImage } from './sample.js';

test('weights much larger than memory are appended in a process that stays small', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-append-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const server = await TestRegistry.start();
  t.after(() => server.stop());
  const size = 400 * mebibyte;
  const file = join(folder, 'large.bin');
  await writeFile(file, noiseStream(size));
  const { username, password } = server;
  const { mebibytes, bytes } = await growthOf(new URL('./memory-child.js', import.meta.url), {
    REGISTRY: JSON.stringify({ url: `http://${server.host}`, username, password }),
    IMAGE: JSON.stringify(await putSourceImage(server.client())),
    FILE: file,
    SIZE: String(size),
  });
  assert.ok(bytes >= size);
  assert.ok(mebibytes < 120, `grew by ${mebibytes} MiB`);
});
