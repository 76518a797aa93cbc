import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { parse, stringify } from 'yaml';

type Kubeconfig = { clusters: { cluster: { server: string; 'tls-server-name'?: string } }[] };

/** A TCP proxy in front of a server: its connections can be cut, frozen and refused. */
export class Wire {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #refusing = false;

  private constructor(readonly to: URL) {
    this.#server = createServer((client) => this.#serve(client));
  }

  /** In front of `tcp://host:port`. */
  static async to(server: URL): Promise<Wire> {
    const wire = new Wire(server);
    wire.#server.listen(0, '127.0.0.1');
    await once(wire.#server, 'listening');
    return wire;
  }

  /** In front of an apiserver: answers the proxy, and writes a kubeconfig that goes through it. */
  static async lay(kubeconfig: string, through: string): Promise<Wire> {
    const config = parse(await readFile(kubeconfig, 'utf8')) as Kubeconfig;
    const { cluster } = config.clusters[0]!;
    const wire = await Wire.to(new URL(cluster.server));
    // A name that every apiserver's certificate carries.
    cluster['tls-server-name'] = 'kubernetes.default.svc';
    cluster.server = `https://${wire.address}`;
    await writeFile(through, stringify(config), { mode: 0o600 });
    return wire;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** New connections are broken at once. */
  refuse(refusing: boolean): void {
    this.#refusing = refusing;
  }

  /** What is connected stays so, but nothing passes any more in either direction. New connections work. */
  freeze(): void {
    for (const socket of this.#sockets) {
      socket.removeAllListeners('data');
      socket.resume();
    }
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(client: Socket): void {
    if (this.#refusing) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(Number(this.to.port), this.to.hostname);
    for (const [from, into] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        into.destroy();
      });
      from.on('data', (bytes) => {
        into.write(bytes);
      });
    }
  }
}
