import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connections } from '../../contract/serving.js';
import { Traffic } from '../support/traffic.js';
import { untilTrue } from '../support/until.js';
import { type Upstream } from './fixtures.js';
import { GatewayWorld } from './world.js';

/** One address for several servers, as a Service is for its pods: it decides once for each connection, by chance. */
class Balancer {
  private constructor(
    private readonly server: Server,
    readonly sockets: Set<Socket>,
  ) {}

  static async start(behind: Upstream[]): Promise<Balancer> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      const { port } = behind[Math.floor(Math.random() * behind.length)]!;
      const onward = connect(port, '127.0.0.1');
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket)).on('error', () => onward.destroy());
      onward.on('error', () => socket.destroy());
      socket.pipe(onward).pipe(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Balancer(server, sockets);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
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

  test('each gets its share of 100 requests a second, also one that comes later', async () => {
    const behind = await Promise.all(['1', '2', '3'].map((name) => world.upstream(name)));
    const balancer = await Balancer.start(behind);
    await world.route(service, balancer.url);
    const shares = async (): Promise<Map<string, number>> => {
      const traffic = new Traffic(async () => String(await world.gateway.output(service)), 100);
      await delay(8_000);
      await traffic.stop();
      assert.deepEqual(traffic.failures, []);
      return new Map([...traffic.answers].map(([name, count]) => [name, count / traffic.sent]));
    };
    // By chance of about 80 connections: four standard deviations either way.
    for (const [name, share] of await shares())
      assert.ok(share > 0.12 && share < 0.55, `${name} has ${share}`);
    behind.push(await world.upstream('4'));
    const share = (await shares()).get('4') ?? 0;
    assert.ok(share > 0.06 && share < 0.45, `the new one has ${share}`);
    balancer.close();
  });

  test('a single client, asking now and then, does not stay with one of them', async () => {
    const behind = await Promise.all(['1', '2'].map((name) => world.upstream(name)));
    const balancer = await Balancer.start(behind);
    await world.route(service, balancer.url);
    for (const end = Date.now() + 60_000; behind.some(({ requests }) => requests.length === 0);) {
      assert.ok(Date.now() < end, 'one of them was never asked');
      await world.gateway.output(service);
      await delay(100);
    }
    balancer.close();
  });

  test('none is kept idle for as long as a replica that ends goes on answering', async () => {
    const balancer = await Balancer.start([await world.upstream('one')]);
    await world.route(service, balancer.url);
    await Promise.all(Array.from({ length: 5 }, () => world.gateway.output(service)));
    assert.ok(balancer.sockets.size > 0);
    const idle = Date.now();
    await untilTrue(() => balancer.sockets.size === 0);
    const took = Date.now() - idle;
    assert.ok(took < connections.linger - 1_000, `closed after ${took} ms`);
    balancer.close();
  });
});
