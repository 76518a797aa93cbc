import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { openBuildLog, readBuildLog } from '../../platform/images/build-log.js';
import type { Storage } from '../../platform/storage/index.js';
import { s3Storage } from '../../platform/storage/s3.js';
import { testS3 } from '../storage/store.js';
import { untilTrue } from '../support/until.js';

describe('a build log', () => {
  const deployment = () => ({ workflowId: `deploy/${randomUUID()}`, runId: randomUUID() });
  const open = async (): Promise<Storage> => s3Storage(await testS3());

  test('can be followed while it is written, and is whole at the end', async () => {
    const storage = await open();
    const ref = deployment();
    assert.deepEqual(await readBuildLog(storage, ref), { text: '', next: 0 });
    const log = await openBuildLog(storage, ref);
    log.line('step 1');
    log.line('Größe');
    await untilTrue(async () => (await readBuildLog(storage, ref)).next > 0, 60_000);
    const first = await readBuildLog(storage, ref);
    assert.equal(first.text, 'step 1\nGröße\n');
    log.line('step 2');
    await log.close();
    assert.equal((await readBuildLog(storage, ref, first.next)).text, 'step 2\n');
    assert.equal((await readBuildLog(storage, ref)).text, 'step 1\nGröße\nstep 2\n');
  });

  test('goes on with the next attempt, after a worker that died with unwritten lines', async () => {
    const storage = await open();
    const ref = deployment();
    const dead = await openBuildLog(storage, ref);
    dead.line('attempt 1');
    await dead.close();
    const second = await openBuildLog(storage, ref);
    // One that was presumed dead writes meanwhile.
    dead.line('attempt 1, late');
    await dead.close();
    second.line('attempt 2');
    await second.close();
    assert.equal((await readBuildLog(storage, ref)).text, 'attempt 1\nattempt 1, late\nattempt 2\n');
  });

  test('keeps its lines when storage is away for a while, and says so when it stays away', async () => {
    const storage = await open();
    const ref = deployment();
    let away = true;
    let refused = 0;
    const failing = {
      stat: (key: string) => storage.stat(key),
      put: (...put: Parameters<Storage['put']>) => {
        if (!away) return storage.put(...put);
        refused += 1;
        return Promise.reject(new Error('storage is away'));
      },
    } as Storage;
    const log = await openBuildLog(failing, ref);
    log.line('one');
    await untilTrue(() => refused > 0, 60_000);
    log.line('two');
    await assert.rejects(log.close(), /storage is away/);
    away = false;
    await log.close();
    assert.equal((await readBuildLog(storage, ref)).text, 'one\ntwo\n');
  });

  test('is kept for a deployment of any id', async () => {
    const storage = await open();
    for (const workflowId of ['..', 'a/b.c', 'ü'.repeat(160), `x${'y'.repeat(499)}`]) {
      const ref = { workflowId, runId: randomUUID() };
      const log = await openBuildLog(storage, ref);
      log.line('kept');
      await log.close();
      assert.equal((await readBuildLog(storage, ref)).text, 'kept\n', workflowId);
    }
  });

  test('keeps no secrets', async () => {
    const storage = await open();
    const ref = deployment();
    const log = await openBuildLog(storage, ref, ['hush-hush']);
    log.line('index https://a:b@c.example and hush-hush');
    await log.close();
    assert.equal((await readBuildLog(storage, ref)).text, 'index https://***@c.example and ***\n');
  });

  test('of a build that prints without end is cut, and says so', async () => {
    const storage = await open();
    const ref = deployment();
    const log = await openBuildLog(storage, ref);
    const line = 'x'.repeat(2 ** 20);
    for (let at = 0; at < 40; at++) log.line(line);
    await log.close();
    const { text } = await readBuildLog(storage, ref);
    assert.ok(text.length < 34 * 2 ** 20 && text.length > 30 * 2 ** 20);
    assert.match(text.slice(-100), /the rest of the log is left out\n$/);
  });
});
