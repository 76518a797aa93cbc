import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { clientOptions } from './connection.js';

/** Time between two attempts to connect, in milliseconds. */
const reconnectDelay = 500;

/**
 * Calls back for every notification on a channel, and whenever listening has begun (again): what was told
 * meanwhile is lost. A server that is away is tried until it is back. Ends with the returned function.
 */
export function listen(url: string, channel: string, callback: () => void): () => Promise<void> {
  const ending = new AbortController();
  const loop = (async () => {
    while (!ending.signal.aborted) {
      await listenOnce(url, channel, callback, ending.signal);
      // Told to end while waiting: the loop is over.
      await delay(reconnectDelay, undefined, { signal: ending.signal }).catch(() => undefined);
    }
  })();
  return async () => {
    ending.abort();
    await loop;
  };
}

/** Returns when the connection is lost, could not be made, or the signal ends it. */
async function listenOnce(
  url: string,
  channel: string,
  callback: () => void,
  signal: AbortSignal,
): Promise<void> {
  const client = new pg.Client(clientOptions(url));
  const lost = new AbortController();
  const over = AbortSignal.any([signal, lost.signal]);
  client.on('error', () => lost.abort());
  client.on('end', () => lost.abort());
  client.on('notification', callback);
  try {
    await client.connect();
    await client.query(`listen ${client.escapeIdentifier(channel)}`);
    callback();
    if (!over.aborted) await once(over, 'abort');
  } catch {
    // Whoever reads after a callback meets the same server and reports it; here it is only tried again.
  } finally {
    await client.end();
  }
}
