import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, before, beforeEach, describe, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connections } from '../../contract/serving.js';
import { Traffic } from '../support/traffic.js';
import { untilTrue } from '../support/until.js';
import { type Upstream } from './fixtures.js';
import { GatewayWorld } from './world.js';

/** One address for several servers, as a Service is for its pods: it decides once for each connection, in turn. */
class Balancer {
  private constructor(
    private readonly server: Server,
    readonly sockets: Set<Socket>,
  ) {}

  /** Closed when the test ends, however it does. */
  static async start(test: TestContext, behind: Upstream[]): Promise<Balancer> {
    const sockets = new Set<Socket>();
    let turn = 0;
    const server = createServer((socket) => {
      const { port } = behind[(turn += 1) % behind.length]!;
      const onward = connect(port, '127.0.0.1');
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket)).on('error', () => onward.destroy());
      onward.on('error', () => socket.destroy());
      socket.pipe(onward).pipe(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const balancer = new Balancer(server, sockets);
    test.after(() => balancer.close());
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  private close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

describe('connections to replicas that share an address', () => {
  let world: GatewayWorld;
  let service: string;
  before(async () => {
    world = await GatewayWorld.open();
  });
  after(async () => {
    await world.close();
  });
  beforeEach(() => {
    service = world.service();
  });

  test('each gets its share of 100 requests a second, also one that comes later', async (t) => {
    const behind = await Promise.all(['1', '2', '3'].map((name) => world.upstream(name)));
    const balancer = await Balancer.start(t, behind);
    await world.route(service, balancer.url);
    const shares = async (): Promise<Map<string, number>> => {
      const ask = async (): Promise<string> => String(await world.gateway.output(service));
      const traffic = await Traffic.during(ask, 100, () => delay(8_000));
      assert.deepEqual(traffic.failures, []);
      return new Map([...traffic.answers].map(([name, count]) => [name, count / traffic.sent]));
    };
    // Connections come to each in turn; how many requests one carries differs.
    for (const [name, share] of await shares())
      assert.ok(share > 0.12 && share < 0.55, `${name} has ${share}`);
    behind.push(await world.upstream('4'));
    const share = (await shares()).get('4') ?? 0;
    assert.ok(share > 0.06 && share < 0.45, `the new one has ${share}`);
  });

  test('a single client, asking now and then, does not stay with one of them', async (t) => {
    const behind = await Promise.all(['1', '2'].map((name) => world.upstream(name)));
    const balancer = await Balancer.start(t, behind);
    await world.route(service, balancer.url);
    for (const end = Date.now() + 60_000; behind.some(({ requests }) => requests.length === 0);) {
      assert.ok(Date.now() < end, 'one of them was never asked');
      await world.gateway.output(service);
      await delay(100);
    }
  });

  test('none is kept idle for as long as a replica that ends goes on answering', async (t) => {
    const balancer = await Balancer.start(t, [await world.upstream('one')]);
    await world.route(service, balancer.url);
    await Promise.all(Array.from({ length: 5 }, () => world.gateway.output(service)));
    assert.ok(balancer.sockets.size > 0);
    const idle = Date.now();
    await untilTrue(() => balancer.sockets.size === 0);
    const took = Date.now() - idle;
    assert.ok(took < connections.linger - 1_000, `closed after ${took} ms`);
  });
});
