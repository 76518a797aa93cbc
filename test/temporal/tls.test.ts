import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Client, Connection } from '@temporalio/client';
import type { ApiFailure } from '../../api/client.js';
import type { Stack, TemporalConfig } from '../../contract/stack.js';
import { temporalConnection } from '../../platform/temporal.js';
import { temporalFault } from '../../platform/temporal-fault.js';
import { TestApi } from '../api/server.js';
import { Authority, type Certificate } from '../support/certificates.js';
import { testStack } from '../support/stack.js';
import { TemporalFront } from '../support/temporal-front.js';
import { makeNamespace } from '../support/temporal-namespace.js';
import { until } from '../support/until.js';
import { WorkerProcess } from '../support/worker-process.js';

const name = 'temporal.test';
const apiKey = 'an-api-key-that-is-secret';

describe('Temporal over TLS', { timeout: 300_000 }, () => {
  let folder: string;
  let stack: Stack;
  let authority: Authority;
  let stranger: Authority;
  let client: Certificate;
  /** Takes TLS 1.3, and 1.2 at most. */
  let front: TemporalFront;
  let older: TemporalFront;
  let good: TemporalConfig & { tls: NonNullable<TemporalConfig['tls']> };
  const closing: (() => Promise<unknown>)[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-tls-'));
    stack = await testStack();
    [authority, stranger] = await Promise.all([
      Authority.make(folder, 'authority'),
      Authority.make(folder, 'stranger'),
    ]);
    const server = await authority.sign('server', `subjectAltName=DNS:${name}`);
    client = await authority.sign('client', 'extendedKeyUsage=clientAuth');
    const options = { server, clientCaFile: authority.caFile };
    front = await TemporalFront.start(stack.temporal.address, options);
    older = await TemporalFront.start(stack.temporal.address, { ...options, maxVersion: 'TLSv1.2' });
    const apiKeyFile = join(folder, 'api-key');
    await writeFile(apiKeyFile, `${apiKey}\n`);
    good = {
      address: `127.0.0.1:${front.port}`,
      namespace: `tls-${randomBytes(3).toString('hex')}`,
      taskQueue: stack.temporal.taskQueue,
      ui: '',
      tls: { caFile: authority.caFile, client, serverName: name },
      apiKeyFile,
    };
    const connection = await Connection.connect({ address: stack.temporal.address });
    await makeNamespace(new Client({ connection, namespace: good.namespace }), good.namespace);
    await connection.close();
  });
  after(async () => {
    for (const close of closing.reverse()) await close();
    await Promise.all([front?.close(), older?.close()]);
    await rm(folder, { recursive: true });
  });

  const worker = async (temporal: TemporalConfig, env?: NodeJS.ProcessEnv): Promise<WorkerProcess> => {
    const started = await WorkerProcess.start(folder, { ...stack, temporal, workerMetrics: undefined }, env);
    closing.push(() => started.stop());
    return started;
  };
  const api = async (temporal: TemporalConfig): Promise<TestApi> => {
    const started = await TestApi.start({ ...stack, temporal });
    closing.push(() => started.close());
    return started;
  };

  test('worker and API run a deployment, with certificate and API key', async () => {
    const running = await worker(good);
    const { client: caller } = await api(good);
    await running.ready();
    const { workflowId: id } = await caller.call('deploy', { body: { model: 'not-there' } });
    const status = await until(async () => {
      const status = await caller.call('getDeployment', { params: { id } });
      return status.state === 'failed' ? status : null;
    });
    assert.equal(status.failure?.type, 'NotFound');
    const seen = new Set(front.requests.map(({ method }) => method));
    for (const method of [
      'StartWorkflowExecution',
      'QueryWorkflow',
      'PollWorkflowTaskQueue',
      'RespondActivityTaskFailed',
    ])
      assert.ok(seen.has(method), `${method} of ${[...seen].join(', ')}`);
    assert.deepEqual(
      [...new Set(front.requests.map(({ authorization }) => authorization))],
      [`Bearer ${apiKey}`],
    );
    assert.doesNotMatch(running.log, new RegExp(`${apiKey}|PRIVATE KEY`));
  });

  test('an authority that Node.js was told of is trusted by workers as by clients', async () => {
    const { caFile: _, ...tls } = good.tls;
    await (await worker({ ...good, tls }, { NODE_EXTRA_CA_CERTS: authority.caFile })).ready();
  });

  test('a worker without a certificate says at which address it wants one, and goes on trying', async () => {
    const running = await worker({ ...good, tls: { ...good.tls, client: undefined } });
    const wanted = `connecting to Temporal at ${good.address}: it wants a client certificate: configure temporal.tls.client; trying again`;
    await running.says(new RegExp(`${wanted}[^]*${wanted}`));
  });

  test('so does the API, and it says what is wrong with an authority', async () => {
    const cases: [TemporalConfig['tls'], RegExp][] = [
      [{ ...good.tls, client: undefined }, /it wants a client certificate: configure temporal\.tls\.client/],
      [
        { ...good.tls, caFile: stranger.caFile },
        /its certificate is not trusted .*configure temporal\.tls\.caFile, which is ".*stranger\.crt"/,
      ],
    ];
    for (const [tls, expected] of cases) {
      const { client: caller } = await api({ ...good, tls });
      await assert.rejects(caller.call('listDeployments'), (error: ApiFailure) => {
        assert.deepEqual([error.status, error.type], [503, 'Unavailable']);
        assert.match(error.message, expected);
        assert.ok(error.message.includes(`Temporal at ${good.address}: `), error.message);
        return true;
      });
    }
  });

  test('every other fault is named, and what to configure', async () => {
    const foreign = await stranger.sign('client', 'extendedKeyUsage=clientAuth');
    const oldAddress = `127.0.0.1:${older.port}`;
    const plain = stack.temporal.address;
    const { tls } = good;
    const refused = /refuses? (the|a) certificate.* in ".*stranger-client\.crt"/;
    const cases: [string, Partial<TemporalConfig>, RegExp | null][] = [
      ['good', {}, null],
      ['good, older', { address: oldAddress }, null],
      ['nobody there', { address: '127.0.0.1:1' }, null],
      ['no such host', { address: 'nowhere.invalid:7233' }, null],
      ['plain, as it is configured', { address: plain, tls: undefined, apiKeyFile: undefined }, null],
      [
        'no certificate, older',
        { address: oldAddress, tls: { ...tls, client: undefined } },
        /wants a client cert/,
      ],
      ['foreign certificate', { tls: { ...tls, client: foreign } }, refused],
      ['foreign certificate, older', { address: oldAddress, tls: { ...tls, client: foreign } }, refused],
      [
        'public authorities',
        { tls: { ...tls, caFile: undefined } },
        /not trusted.*configure temporal\.tls\.caFile$/,
      ],
      [
        'another name',
        { tls: { ...tls, serverName: undefined } },
        /for another name .*temporal\.tls\.serverName/,
      ],
      [
        'no TLS configured',
        { tls: undefined, apiKeyFile: undefined },
        /it speaks TLS: configure temporal\.tls$/,
      ],
      ['no TLS spoken', { address: plain }, /it does not speak TLS/],
    ];
    for (const [what, changes, expected] of cases) {
      const fault = await temporalFault({ ...good, ...changes });
      if (expected === null) assert.equal(fault, null, what);
      else assert.match(fault ?? '', expected, what);
    }
  });

  test('a file that cannot be used is named, and what is in it is not', async () => {
    const odd = join(folder, 'odd');
    await writeFile(odd, 'secret one\nsecret two');
    const { tls } = good;
    const cases: [Partial<TemporalConfig>, RegExp][] = [
      [{ tls: { ...tls, caFile: '/not/there' } }, /^temporal\.tls\.caFile: reading "\/not\/there": ENOENT/],
      [{ tls: { ...tls, caFile: odd } }, /^temporal\.tls\.caFile: ".*odd" is not a certificate in PEM$/],
      [
        { tls: { ...tls, client: { ...client, keyFile: odd } } },
        /client\.crt" and ".*odd" are not a certificate and/,
      ],
      [
        { tls: { ...tls, client: { ...client, keyFile: stranger.own.keyFile } } },
        /are not a certificate and its key in PEM: .*mismatch/,
      ],
      [{ apiKeyFile: odd }, /^temporal\.apiKeyFile: ".*odd" is not one line with a key$/],
    ];
    for (const [changes, expected] of cases)
      await assert.rejects(temporalConnection({ ...good, ...changes }), (error: Error) => {
        assert.match(error.message, expected);
        assert.doesNotMatch(error.message, /secret one/);
        return true;
      });
  });
});
