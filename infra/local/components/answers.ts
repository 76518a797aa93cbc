import { connect } from 'node:net';

/** Throws unless `url` answers with one of the statuses. */
export async function answers(url: string, statuses: number[], signal: AbortSignal): Promise<void> {
  const response = await fetch(url, { signal, redirect: 'manual' });
  await response.body?.cancel();
  if (!statuses.includes(response.status)) throw new Error(`asking "${url}": status ${response.status}`);
}

/** Throws unless something listens on the loopback port. */
export function listens(port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', signal });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}
