import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export type Forward = { host: string; port: number; close(): Promise<void> };

/**
 * Takes connections at `host:port` (0: a free one) to a port on this machine's loopback, which the node cannot reach
 * by itself. Throws when the address is not there or taken.
 */
export async function forward(host: string, port: number, to: number): Promise<Forward> {
  const open = new Set<Socket>();
  // Each side may end its half first: an upload's answer comes after its end.
  const server = createServer({ allowHalfOpen: true }, (from) => {
    const onward = connect({ port: to, host: '127.0.0.1', allowHalfOpen: true });
    for (const [socket, other] of [
      [from, onward],
      [onward, from],
    ] as const) {
      open.add(socket);
      socket.setNoDelay(true);
      // Told by "close" too, and both ends see it as a connection that breaks.
      socket.on('error', () => undefined);
      socket.on('close', (broken) => {
        open.delete(socket);
        if (broken) other.destroy();
      });
      socket.pipe(other);
    }
  });
  server.listen({ host, port, exclusive: true });
  await once(server, 'listening');
  const address = server.address();
  return {
    host,
    port: typeof address === 'object' && address ? address.port : port,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
