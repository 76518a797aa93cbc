import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';

/** A TCP line to a server that counts what is sent to it. */
export type CountingLine = {
  /** `127.0.0.1:1234` */
  host: string;
  /** Bytes sent since this was last asked, headers included. */
  take: () => number;
  close: () => Promise<void>;
};

export async function countingLine({ hostname, port }: URL): Promise<CountingLine> {
  let sent = 0;
  const server = createServer((client) => {
    const there = connect({ host: hostname, port: Number(port) || 80 });
    client.on('data', (bytes: Buffer) => {
      sent += bytes.length;
    });
    client.pipe(there).pipe(client);
    for (const socket of [client, there])
      socket.on('error', () => {
        client.destroy();
        there.destroy();
      });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    take: () => {
      const taken = sent;
      sent = 0;
      return taken;
    },
    close: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}
