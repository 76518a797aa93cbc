import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { ApiFailure } from '../../api/client.js';
import { stackAway, TestApi } from './server.js';

describe('while every server behind it is away, the API', () => {
  let api: TestApi;
  before(async () => void (api = await TestApi.start(await stackAway())));
  after(() => api.close());

  /** The message of the 503 that `call` fails with. */
  const refusal = async (call: Promise<unknown>): Promise<string> => {
    const error: unknown = await call.then(
      () => assert.fail('it was answered'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof ApiFailure, String(error));
    assert.deepEqual([error.status, error.type], [503, 'Unavailable'], error.message);
    return error.message;
  };

  test('is up', async () => {
    assert.equal((await api.request('/healthz')).status, 200);
  });

  test('names PostgreSQL, and says what to do', async () => {
    const message = await refusal(api.client.call('listServices'));
    assert.match(message, /PostgreSQL at 127\.0\.0\.1:\d+ is away.*slipway doctor/);
  });

  test('names the object storage', { timeout: 180_000 }, async () => {
    const message = await refusal(api.client.call('listArtifacts', { params: { model: 'iris' } }));
    assert.match(message, /object storage at 127\.0\.0\.1:\d+ is away/);
  });

  test('names Temporal, within seconds', { timeout: 180_000 }, async () => {
    const began = Date.now();
    const message = await refusal(api.client.call('deploy', { body: { model: 'iris' } }));
    assert.match(message, /Temporal at 127\.0\.0\.1:\d+ does not answer/);
    assert.ok(Date.now() - began < 60_000, `after ${Date.now() - began} ms`);
    for (const call of ['getDeployment', 'cancel'] as const)
      assert.match(
        await refusal(api.client.call(call, { params: { id: 'x' }, body: {} } as never)),
        /Temporal/,
      );
  });

  test('names the gateway', async () => {
    const call = api.client.call('predict', { params: { service: 'iris' }, body: { input: 1 } });
    assert.match(await refusal(call), /gateway at 127\.0\.0\.1:\d+ is away/);
  });

  test('tells a server that hangs from one that answers', { timeout: 180_000 }, async () => {
    const sockets: Socket[] = [];
    const hanging = createServer((socket) => void sockets.push(socket));
    hanging.listen(0, '127.0.0.1');
    await once(hanging, 'listening');
    const { port } = hanging.address() as { port: number };
    const away = await stackAway();
    const other = await TestApi.start({
      ...away,
      temporal: { ...away.temporal, address: `127.0.0.1:${port}` },
    });
    try {
      const message = await refusal(other.client.call('getDeployment', { params: { id: 'x' } }));
      assert.match(message, new RegExp(`Temporal at 127.0.0.1:${port} does not answer`));
    } finally {
      await other.close();
      for (const socket of sockets) socket.destroy();
      hanging.close();
    }
  });
});
