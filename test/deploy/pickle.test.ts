import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { ApiFailure } from '../../api/client.js';
import type { ImageRef } from '../../contract/names.js';
import { TestApi } from '../api/server.js';
import { Slipway } from '../cli/slipway.js';
import { Shipyard } from '../support/deployments.js';
import { LocalWorker } from '../support/local-worker.js';
import { zip } from '../support/models.js';
import { untilTrue } from '../support/until.js';
import { WorkerProcess } from '../support/worker-process.js';
import { Yard } from '../targets/yard.js';

const marker = `/tmp/slipway-pickle-ran-${randomBytes(6).toString('hex')}`;
/** Loaded, it makes the marker wherever that happens, and gives an object that predicts. */
const code = `(open("${marker}", "w").close(), __import__("types").SimpleNamespace(predict=lambda rows: [7 for _ in rows]))[1]`;
/** What `__reduce__` answering `(eval, (code,))` becomes. https://docs.python.org/3/library/pickletools.html */
const pickle = `cbuiltins\neval\n(S'${code}'\ntR.`;
const digest = `sha256:${createHash('sha256').update(pickle).digest('hex')}`;
const refusal = /"deep\/bomb\.pkl" is a pickle, which runs the code it holds.*"allowPickle": true/;

describe('weights that run code when they are loaded', () => {
  let yard: Shipyard;
  let folder: string;
  let model: string;
  let image: ImageRef;
  before(async () => {
    yard = await Shipyard.open({ worker: false });
    folder = await mkdtemp(join(tmpdir(), 'slipway-pickle-'));
    model = yard.name('pickle');
    await yard.put(model, 'weights', await zip({ 'deep/bomb.pkl': pickle }));
    await yard.put(model, 'source', await zip({ 'requirements.txt': 'joblib==1.6.0\n' }));
  });
  after(async () => {
    await yard.close();
    await rm(folder, { recursive: true });
  });

  test('are refused where nobody consented, before anything is built, and run nowhere', async () => {
    const strict = { ...yard.stack, allowPickle: false };
    const worker = await WorkerProcess.start(folder, strict);
    const api = await TestApi.start(strict);
    try {
      await assert.rejects(api.client.call('plan', { body: { model } }), (error: ApiFailure) => {
        assert.equal(error.type, 'InvalidInput');
        assert.match(error.message, refusal);
        return true;
      });
      const handle = await yard.deploy({ model });
      const failure = await yard.failure(handle);
      assert.equal(failure.type, 'InvalidInput');
      assert.match(failure.message, refusal);
      const { stages } = await yard.status(handle);
      assert.equal(stages.find(({ name }) => name === 'build')?.state, 'pending');
      assert.deepEqual(await api.client.call('listAudit', { params: { service: model } }), []);
    } finally {
      await api.close();
      await worker.stop();
    }
    assert.ok(!existsSync(marker), `${marker} was made`);
    await yard.assertNothingLeft();
  });

  test('are served by consent, and that is written down once, for people to read', async () => {
    const worker = await LocalWorker.start({ loseFirstReply: 'rollout' });
    try {
      const verify = { samples: [{ input: [[1], [2]], expect: [7, 7] }] };
      const shipped = await yard.ship({ model, verify });
      image = shipped.image;
      assert.deepEqual(await worker.lost(), ['rollout']);
      assert.deepEqual(await yard.predict(model, [[1]]), [7]);
      const { stdout, stderr } = await Slipway.run(['service', 'audit', model, '--json']);
      const told = (JSON.parse(stdout) as { action: string; details: unknown }[]).filter(
        ({ action }) => action === 'load-pickle',
      );
      const details = { release: shipped.release, file: 'deep/bomb.pkl', digest, consent: 'allowPickle' };
      assert.deepEqual(
        told.map((entry) => entry.details),
        [details],
        stderr,
      );
      const table = (await Slipway.run(['service', 'audit', model])).stdout;
      assert.match(table, /load-pickle .*"file":"deep\/bomb\.pkl"/);
    } finally {
      await worker.end();
    }
    const ofEngine = new Yard(yard.stack);
    const names = (await ofEngine.docker('ps', '--format', '{{.Names}}')).split('\n');
    const serving = names.find((name) => name.includes(`${model}.r`));
    assert.ok(serving, `no container of ${model} is among ${names.join(', ')}`);
    // It does run, in the container that serves, and only there.
    assert.match(await ofEngine.docker('exec', serving, 'ls', marker), /pickle-ran/);
    assert.ok(!existsSync(marker), `${marker} was made`);
  });

  test('are refused when consent was withdrawn while their deployment waited', async () => {
    const consenting = await LocalWorker.start();
    const handle = await yard.deploy({ model, approval: { required: true } });
    await untilTrue(async () => (await yard.status(handle)).state === 'awaiting-approval', 120_000);
    await consenting.end();
    const worker = await WorkerProcess.start(folder, { ...yard.stack, allowPickle: false });
    try {
      await handle.executeUpdate('approve', { args: [{ by: 'ann' }] });
      const failure = await yard.failure(handle);
      assert.equal(failure.type, 'InvalidInput');
      assert.match(failure.message, refusal);
    } finally {
      await worker.stop();
    }
    assert.deepEqual(await yard.predict(model, [[1]]), [7]);
    const told = (await Slipway.run(['service', 'audit', model])).stdout;
    assert.equal([...told.matchAll(/load-pickle/g)].length, 1, told);
  });

  test('are refused by the image itself, whoever starts it without consent', async () => {
    const strict = new Yard(yard.stack, { allowPickle: false });
    try {
      await assert.rejects(strict.up(strict.set(image, { recipe: 'sklearn' })), (error: Error) => {
        assert.match(
          error.message,
          /bomb\.pkl is a pickle, which runs the code it holds: set SLIPWAY_ALLOW_PICKLE/,
        );
        return true;
      });
    } finally {
      await strict.close();
    }
  });
});
