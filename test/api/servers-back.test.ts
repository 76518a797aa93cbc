import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { ApiFailure } from '../../api/client.js';
import type { Stack } from '../../contract/stack.js';
import { testStack } from '../support/stack.js';
import { TestApi } from './server.js';
import { serverPort } from '../support/ports.js';

/** An address at which a real server can be there, go away and come back. */
class Door {
  private readonly sockets = new Set<Socket>();
  private server: Server | null = null;

  constructor(
    readonly port: number,
    private readonly target: URL,
  ) {}

  async open(): Promise<void> {
    this.server = createServer((outside) => {
      const inside = connect(Number(this.target.port), this.target.hostname);
      for (const [from, to] of [
        [outside, inside],
        [inside, outside],
      ] as const) {
        this.sockets.add(from);
        from.on('error', () => undefined);
        from.on('close', () => to.destroy());
        from.pipe(to);
      }
    });
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
  }

  close(): void {
    this.server?.close();
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
  }
}

describe('an API that started while everything was away', () => {
  let doors: Door[];
  let api: TestApi;
  before(async () => {
    const stack = await testStack();
    const targets = [`tcp://${stack.temporal.address}`, stack.postgres, stack.s3.endpoint];
    doors = await Promise.all(targets.map(async (target) => new Door(await serverPort(), new URL(target))));
    const [temporal, postgres, s3] = doors.map(({ port }) => `127.0.0.1:${port}`);
    const moved: Stack = {
      ...stack,
      temporal: { ...stack.temporal, address: temporal! },
      postgres: stack.postgres.replace(new URL(stack.postgres).host, postgres!),
      s3: { ...stack.s3, endpoint: `http://${s3}` },
    };
    api = await TestApi.start(moved);
  });
  after(async () => {
    await api.close();
    for (const door of doors) door.close();
  });

  const calls = {
    Temporal: () => api.client.call('getDeployment', { params: { id: 'no/such' } }),
    PostgreSQL: () => api.client.call('listServices'),
    'object storage': () => api.client.call('listArtifacts', { params: { model: 'no-such' } }),
  };
  /** Whether each server is reached: to be told that there is no such thing is to be answered. */
  const reached = async (): Promise<boolean[]> =>
    await Promise.all(
      Object.values(calls).map((call) =>
        call().then(
          () => true,
          (error: unknown) => error instanceof ApiFailure && error.type === 'NotFound',
        ),
      ),
    );
  const untilReached = async (): Promise<void> => {
    for (const end = Date.now() + 180_000; (await reached()).includes(false); await delay(500))
      assert.ok(Date.now() < end, JSON.stringify(await reached()));
  };

  test('reaches every server once it is there', { timeout: 400_000 }, async () => {
    assert.deepEqual(await reached(), [false, false, false]);
    await Promise.all(doors.map((door) => door.open()));
    await untilReached();
  });

  test('reaches them again after they went away', { timeout: 400_000 }, async () => {
    for (const door of doors) door.close();
    assert.deepEqual(await reached(), [false, false, false]);
    await Promise.all(doors.map((door) => door.open()));
    await untilReached();
  });
});
