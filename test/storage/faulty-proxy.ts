import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What happens to the next request whose head matches. */
export type Fault = { match: RegExp } & (
  | /** The connection is closed after this many bytes of the answer, its head included. */ {
      cutAfter: number;
    }
  | /** The proxy answers itself. */ { status: number }
);

/** A TCP proxy in front of an HTTP server that breaks connections on demand, for real. */
export class FaultyProxy {
  /** Faults to come; each is used once, in order. */
  readonly faults: Fault[] = [];
  /** First line and range of each request: `GET /bucket/key?… bytes=0-9`. */
  readonly requests: string[] = [];
  /** Bytes that went to clients. */
  sent = 0;
  readonly #sockets = new Set<Socket>();

  private constructor(
    readonly server: Server,
    readonly target: URL,
  ) {}

  static async start(target: URL): Promise<FaultyProxy> {
    const server = createServer();
    const proxy = new FaultyProxy(server, target);
    server.on('connection', (client) => proxy.#serve(client));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Clients that are connected. */
  get connections(): number {
    return this.#sockets.size / 2;
  }

  /** Requests whose line matches. */
  asked(match: RegExp): string[] {
    return this.requests.filter((line) => match.test(line));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  #serve(client: Socket): void {
    const upstream = connect(Number(this.target.port), this.target.hostname);
    let budget = Infinity;
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        if (socket === client) upstream.destroy();
        else client.end();
      });
    }
    client.on('data', (bytes) => {
      const fault = this.#requested(bytes);
      if (fault && 'status' in fault) {
        client.end(`HTTP/1.1 ${fault.status} Fault\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
        return;
      }
      if (fault) budget = fault.cutAfter;
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      const passed = bytes.subarray(0, budget);
      budget -= passed.length;
      this.sent += passed.length;
      if (budget <= 0) {
        // What was passed on arrives; nothing more does.
        upstream.destroy();
        client.end(passed);
      } else if (!client.write(passed)) {
        upstream.pause();
        client.once('drain', () => upstream.resume());
      }
    });
  }

  #requested(bytes: Buffer): Fault | undefined {
    const head = bytes.subarray(0, 4096).toString('latin1');
    const line = /^(?:GET|HEAD|PUT|POST|DELETE) \S+/.exec(head)?.[0];
    if (line === undefined) return undefined;
    const range = /\r\nrange: (\S+)/i.exec(head)?.[1];
    this.requests.push(range ? `${line} ${range}` : line);
    const index = this.faults.findIndex(({ match }) => match.test(line));
    return index < 0 ? undefined : this.faults.splice(index, 1)[0];
  }
}
