import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { setImmediate as comeRound } from 'node:timers/promises';
import { connector } from '../../api/gateway/connector.js';

/** The connection to a port of this machine; throws why there is none. */
const connected = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) =>
    connector({ hostname: '127.0.0.1', protocol: 'http:', port: String(port) }, (error, socket) =>
      error ? reject(error) : resolve(socket),
    ),
  );

test('this process being busy for longer than a handshake may take is no reason to give up', async (t) => {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  // Both in one round of events: between the two none is read.
  const [socket] = await Promise.all([
    comeRound().then(() => connected(port)),
    comeRound().then(() => {
      for (const end = performance.now() + 500; performance.now() < end;);
    }),
  ]);
  socket.destroy();
});
