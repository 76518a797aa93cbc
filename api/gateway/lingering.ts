import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** Milliseconds in which the first request of a new connection may be on its way. */
const grace = 1_000;

/**
 * Watches a server's connections. The function that it answers closes, while the server ends, those that would keep it
 * from it: they became idle while others were still answered, or were opened ahead and never asked anything.
 */
export function lingering(server: Server): () => void {
  const opened = new Map<Socket, number>();
  server.on('connection', (socket: Socket) => {
    opened.set(socket, performance.now());
    socket.once('close', () => opened.delete(socket));
  });
  return () => {
    server.closeIdleConnections();
    for (const [socket, at] of opened)
      if (socket.bytesRead === 0 && performance.now() - at > grace) socket.destroy();
  };
}
