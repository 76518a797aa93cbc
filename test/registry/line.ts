import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What a line does with bytes on their way to the server: lets them through, or cuts the connection before them. */
type Judge = (bytes: Buffer, connection: { sent: number }) => 'pass' | 'cut';

/** A TCP line to a server that a test can cut: connections end on both sides, without a word. */
export class Line {
  /** Bytes that reached the server. */
  sent = 0;
  cuts = 0;
  private loses = (): boolean => false;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private judge: Judge,
  ) {}

  static async to(port: number, judge: Judge = () => 'pass'): Promise<Line> {
    const server = createServer({ allowHalfOpen: true });
    const line = new Line(server, judge);
    server.on('connection', (client) => line.join(client, connect({ port, host: '127.0.0.1' })));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return line;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** From now on, bytes are judged so. */
  judgedBy(judge: Judge): void {
    this.judge = judge;
  }

  /** Cuts once, in place of the reply to a request that begins so: the server has done what was asked. */
  loseReplyTo(beginning: string): void {
    let asked = false;
    let lost = false;
    this.judge = (bytes) => {
      if (bytes.toString('latin1', 0, beginning.length) === beginning) asked = true;
      return 'pass';
    };
    this.loses = () => {
      if (!asked || lost) return false;
      lost = true;
      return true;
    };
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private join(client: Socket, server: Socket): void {
    const connection = { sent: 0 };
    const end = () => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => this.sockets.delete(socket));
    }
    client.on('data', (bytes: Buffer) => {
      if (this.judge(bytes, connection) === 'cut') {
        this.cuts += 1;
        return end();
      }
      connection.sent += bytes.length;
      this.sent += bytes.length;
      if (!server.write(bytes)) {
        client.pause();
        server.once('drain', () => client.resume());
      }
    });
    client.on('end', () => server.end());
    server.on('data', (bytes: Buffer) => {
      if (this.loses()) {
        this.cuts += 1;
        return end();
      }
      client.write(bytes);
    });
    server.on('end', () => client.end());
  }
}

/** Cuts once, when so many bytes have gone over one connection. */
export function cutOnceAfter(bytes: number): Judge {
  let cut = false;
  return (_, { sent }) => {
    if (cut || sent < bytes) return 'pass';
    cut = true;
    return 'cut';
  };
}

/** Cuts once, before the first bytes that hold this text. */
export function cutOnceBefore(text: string): Judge {
  let cut = false;
  return (bytes) => {
    if (cut || !bytes.includes(text)) return 'pass';
    cut = true;
    return 'cut';
  };
}
