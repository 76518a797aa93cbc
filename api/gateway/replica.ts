import { Pool, type Dispatcher } from 'undici';
import { connections } from '../../contract/serving.js';
import { connector } from './connector.js';

/**
 * Idle connections are given up long before the server in a replica does (75 s, or its end), or a request could go out
 * on a connection that is being closed. The maximum bounds what a server's `keep-alive` header may ask for.
 */
const keepAlive = { keepAliveTimeout: connections.idle, keepAliveMaxTimeout: connections.idle };
/**
 * Behind one address there may be several pods, and a connection stays with one: so none is kept for long, and each of
 * them, also a new one, gets its share. A new connection costs a fraction of a millisecond.
 */
const renewal = { maxRequestsPerClient: 10 };

export type UpstreamRequest = Pick<Dispatcher.RequestOptions, 'path' | 'headers' | 'body' | 'signal'>;

/** A replica that is routed to, with its kept-alive connections. */
export class Replica {
  inFlight = 0;
  /** When it last refused a connection, on the clock of `performance.now()`. */
  refusedAt = -Infinity;
  private readonly pool: Pool;

  /** `answerTimeout`: milliseconds to wait for the head of an answer, and for each further piece of it. */
  constructor(
    readonly url: string,
    answerTimeout: number,
  ) {
    this.pool = new Pool(url, {
      ...keepAlive,
      ...renewal,
      connect: connector,
      headersTimeout: answerTimeout,
      bodyTimeout: answerTimeout,
    });
  }

  /** Sends one POST. The body of the answer must be read or destroyed. Throws what undici throws. */
  async post(request: UpstreamRequest): Promise<Dispatcher.ResponseData> {
    this.inFlight += 1;
    try {
      const response = await this.pool.request({ ...request, method: 'POST' });
      response.body.once('close', () => (this.inFlight -= 1));
      return response;
    } catch (error) {
      this.inFlight -= 1;
      throw error;
    }
  }

  /** Takes no more requests; returns when those in flight have been answered and all connections are closed. */
  close(): Promise<void> {
    return this.pool.close();
  }
}
