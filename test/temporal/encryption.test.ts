import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Client, Connection } from '@temporalio/client';
import { execa } from 'execa';
import type { ApiClient, ApiFailure } from '../../api/client.js';
import type { DeploymentStatus } from '../../contract/deployment.js';
import type { Stack, TemporalConfig } from '../../contract/stack.js';
import { workflowBundle } from '../../workers/workflow-bundle.js';
import { TestApi } from '../api/server.js';
import { Slipway } from '../cli/slipway.js';
import { Shipyard } from '../support/deployments.js';
import { eventsOf, whatIsKept } from '../support/raw-temporal.js';
import { toolPath } from '../support/stack.js';
import { makeNamespace } from '../support/temporal-namespace.js';
import { until } from '../support/until.js';
import { WorkerProcess } from '../support/worker-process.js';

type Encryption = TemporalConfig['encryption'];

describe('what Temporal keeps, encrypted', { timeout: 900_000 }, () => {
  let folder: string;
  let yard: Shipyard;
  let namespace: string;
  /** Knows no key. */
  let outsider: Client;
  let one: Encryption;
  let two: Encryption;
  let both: Encryption;
  const closing: (() => Promise<unknown>)[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-encryption-'));
    yard = await Shipyard.open();
    namespace = `encrypted-${randomBytes(3).toString('hex')}`;
    const connection = await Connection.connect({ address: yard.stack.temporal.address });
    closing.push(() => connection.close());
    outsider = new Client({ connection, namespace });
    await makeNamespace(outsider, namespace);
    const key = async (id: string) => {
      const file = join(folder, `${id}.key`);
      await writeFile(file, randomBytes(32).toString('base64'), { mode: 0o600 });
      return { id, file };
    };
    const keys = [await key('one'), await key('two')] as const;
    one = { keys: [keys[0]] };
    two = { keys: [keys[1]] };
    both = { keys: [keys[1], keys[0]] };
    // Made by the first worker otherwise, which takes a while.
    await workflowBundle({ encrypting: true });
  });
  after(async () => {
    for (const close of closing.reverse()) await close();
    await yard?.close();
    await rm(folder, { recursive: true });
  });

  const stackWith = (encryption: Encryption): Stack => ({
    ...yard.stack,
    workerMetrics: undefined,
    temporal: { ...yard.stack.temporal, namespace, encryption },
  });
  /** While `use` runs, there is a worker, and no other. */
  const withWorker = async <T>(stack: Stack, use: (worker: WorkerProcess) => Promise<T>): Promise<T> => {
    const worker = await WorkerProcess.start(folder, stack);
    try {
      await worker.ready();
      return await use(worker);
    } finally {
      await worker.stop();
    }
  };
  const api = async (encryption: Encryption): Promise<TestApi> => {
    const started = await TestApi.start(stackWith(encryption));
    closing.push(() => started.close());
    return started;
  };
  const statusOf = (client: ApiClient, id: string): Promise<DeploymentStatus> =>
    client.call('getDeployment', { params: { id } });
  const untilState = (client: ApiClient, id: string, state: DeploymentStatus['state']) =>
    until(async () => {
      const status = await statusOf(client, id);
      if (status.endedAt && status.state !== state) assert.deepEqual(status, state);
      return status.state === state ? status : null;
    }, 180_000);
  const assertNothingIn = (text: string, known: Record<string, string | undefined>): void => {
    for (const [what, value] of Object.entries(known)) {
      assert.ok(value && value.length > 3, `no ${what} to look for`);
      assert.ok(!text.includes(value), `the ${what} is in clear: ${value}`);
    }
    assert.doesNotMatch(text, /\n\s+at .*:\d+:\d+/, 'a stack trace is in clear');
  };

  test('shows nothing of a deployment that failed; API and command line tell it in full', async () => {
    const server = await api(one);
    const { client } = server;
    const model = await yard.greeter('veiled', { crash: true, delayMs: 4_000 });
    const sample = { input: `sample-${model}`, expect: 'whatever' };
    let progress: string | undefined;
    const [id, status] = await withWorker(stackWith(one), async () => {
      const body = { model, verify: { samples: [sample] } };
      const { workflowId } = await client.call('deploy', { body });
      const ended = await until(async () => {
        const now = await statusOf(client, workflowId);
        progress ??= now.progress?.message;
        return now.state === 'failed' ? now : null;
      }, 180_000);
      return [workflowId, ended];
    });
    assert.equal(status.failure?.type, 'RolloutFailed');
    assert.match(status.failure.message, /these weights crash on load/);
    assert.ok(status.undo.length > 0);

    for (const workflow of [id, `service/${model}`]) {
      const { text, encodings } = await whatIsKept(outsider, workflow);
      assert.ok(encodings.length > 3, `${encodings.length} payloads`);
      assert.deepEqual([...new Set(encodings)], ['binary/encrypted'], workflow);
      assertNothingIn(text, {
        'input text': sample.input,
        'name of an input field': 'samples',
        'result text': status.stages.find(({ name }) => name === 'build')?.detail,
        'digest of the source': status.sourceDigest,
        'digest of the image': status.image?.digest,
        progress: progress,
        'failure message': status.failure.message.split('\n')[0],
        'reason of the failure': 'crash on load',
        'undo step': status.undo[0]?.what,
        summary: `${model}: deploy ${model}`,
      });
    }

    // Without a worker the server's own record is read.
    const { failure } = await statusOf(client, id);
    assert.equal(failure?.message, status.failure.message);
    const env = { SLIPWAY_API: server.url, SLIPWAY_TOKEN: yard.stack.token };
    const told = await Slipway.run(['status', id], env);
    assert.match(told.stdout, /RolloutFailed[^]*these weights crash on load/);
  });

  test('the attempt that fails now is told as well, and not by Temporal', async () => {
    const { client } = await api(one);
    const s3 = { ...yard.stack.s3, endpoint: 'http://127.0.0.1:1' };
    await withWorker({ ...stackWith(one), s3 }, async () => {
      const { workflowId: id } = await client.call('deploy', { body: { model: yard.name('attempt') } });
      const { attempt } = await until(async () => {
        const status = await statusOf(client, id);
        return status.attempt?.lastError ? status : null;
      });
      assert.match(attempt!.lastError!, /ECONNREFUSED/);
      const { text } = await whatIsKept(outsider, id);
      assertNothingIn(text, { 'error of the attempt': 'ECONNREFUSED' });
      assert.match(text, /Encoded failure/);
      await client.call('cancel', { params: { id }, body: {} });
      await untilState(client, id, 'cancelled');
    });
  });

  test('a worker or API without the key says which, and where it belongs; then the deployment goes on', async () => {
    const { client } = await api(one);
    const { workflowId: id } = await client.call('deploy', { body: { model: 'not-there' } });
    const missing =
      'encrypted with key "one", which this process does not have: add it to temporal.encryption.keys, ';
    await withWorker(stackWith(undefined), (worker) =>
      worker.says(new RegExp(`${missing}which is not configured`)),
    );
    const log = await withWorker(stackWith(two), async (worker) => {
      await worker.says(new RegExp(`${missing}which has "two"`));
      return worker.log;
    });
    assert.doesNotMatch(log, /platform\/temporal-encryption/, 'it tells a stack trace');

    const rotated = await api(both);
    await withWorker(stackWith(both), async () => {
      const { failure } = await untilState(rotated.client, id, 'failed');
      assert.equal(failure?.type, 'NotFound');
      // A worker answers it, with what its first key encrypts.
      await assert.rejects(statusOf(client, id), /encrypted with key "two".*which has "one"/);
    });
    const { client: blind } = await api(undefined);
    await assert.rejects(statusOf(blind, id), (error: ApiFailure) => {
      assert.equal(error.type, 'Internal');
      assert.match(
        error.message,
        /encrypted with key "two".*temporal\.encryption\.keys, which is not configured$/,
      );
      return true;
    });
  });

  test('turned on in the middle, a deployment that began in clear ends well', async () => {
    const model = await yard.greeter('later');
    const clear = await api(undefined);
    const { workflowId: id } = await withWorker(stackWith(undefined), async () => {
      const body = { model, approval: { required: true } };
      const started = await clear.client.call('deploy', { body });
      await untilState(clear.client, started.workflowId, 'awaiting-approval');
      return started;
    });
    const before = await whatIsKept(outsider, id);
    assert.ok(!before.encodings.includes('binary/encrypted'));
    const from = await eventsOf(outsider, id);
    const { client } = await api(one);
    const status = await withWorker(stackWith(one), async () => {
      await client.call('approve', { params: { id }, body: { by: 'somebody-known' } });
      return await untilState(client, id, 'succeeded');
    });
    assert.equal(await yard.predict(model, 'Ada'), 'Hello, Ada!');
    assert.ok(before.text.includes(status.sourceDigest!));
    const { text } = await whatIsKept(outsider, id, from);
    assertNothingIn(text, {
      'who approved': 'somebody-known',
      release: status.release,
      'digest of the image': status.image?.digest,
    });
  });

  test('input in clear, as the temporal CLI sends it, is read as ever', async () => {
    const { client } = await api(one);
    const id = yard.name('plain');
    const start = [
      'workflow',
      'start',
      '--type',
      'deployModel',
      '--task-queue',
      yard.stack.temporal.taskQueue,
      '--workflow-id',
      id,
    ];
    const where = ['--address', yard.stack.temporal.address, '--namespace', namespace];
    const input = JSON.stringify({ model: 'iris', replicas: 0 });
    await withWorker(stackWith(one), async () => {
      await execa(await toolPath('temporal'), [...start, '--input', input, ...where]);
      const { failure } = await untilState(client, id, 'failed');
      assert.match(failure!.message, /replicas/);
    });
    const shown = await execa(await toolPath('temporal'), [
      'workflow',
      'show',
      '--workflow-id',
      id,
      ...where,
    ]);
    assert.doesNotMatch(shown.stdout, /replicas: /);
  });
});
