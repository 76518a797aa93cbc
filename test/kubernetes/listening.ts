import type { Server } from 'node:net';

/** Starts a server on a free port of loopback. */
export const listening = <T extends Server>(server: T): Promise<T> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));

export const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => server.close(() => resolve()));
