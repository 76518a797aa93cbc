import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { type TestContext } from 'node:test';
import { type Upstream } from './fixtures.js';

/** One address for several servers, as a Service is for its pods: it decides once for each connection, in turn. */
export class Balancer {
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
