import { once } from 'node:events';
import { createServer, request as plain, type IncomingMessage, type ServerResponse } from 'node:http';
import { request as encrypted, type RequestOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/**
 * A line to an HTTP server on which one change is held until it is released: it arrives, as on any network, whether or not
 * who has asked for it is still there.
 */
export class LateLine {
  readonly #server = createServer((from, to) => void this.#pass(from, to).catch(() => to.destroy()));
  #before = Infinity;
  #held: () => void = () => {};
  #released = Promise.resolve();
  #release: () => void = () => {};
  #under: Promise<unknown>[] = [];

  private constructor(private readonly onward: RequestOptions) {}

  /** To where `onward` says; with `agent`, by TLS. */
  static async to(onward: RequestOptions): Promise<LateLine> {
    const line = new LateLine(onward);
    line.#server.listen(0, '127.0.0.1');
    await once(line.#server, 'listening');
    return line;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on, the change that comes after so many others is held; resolves when it is. */
  holdAfter(others: number): Promise<true> {
    this.#before = others;
    this.#released = new Promise((resolve) => (this.#release = resolve));
    return new Promise((resolve) => (this.#held = () => resolve(true)));
  }

  /** Lets it go on; returns when everything has arrived. */
  async release(): Promise<void> {
    this.#release();
    for (const under of this.#under.splice(0)) await under;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #pass(from: IncomingMessage, to: ServerResponse): Promise<void> {
    const body = await buffer(from);
    const isChange = from.method !== 'GET' && from.method !== 'HEAD';
    const arrived = this.#send(from, body, isChange && this.#before-- === 0);
    this.#under.push(arrived.catch(() => undefined));
    const answer = await arrived;
    if (to.destroyed) return void answer.resume();
    to.writeHead(answer.statusCode ?? 502, answer.headers);
    to.flushHeaders();
    answer.on('error', () => to.destroy());
    to.on('close', () => answer.destroy());
    answer.pipe(to);
  }

  async #send(
    { method, url, headers }: IncomingMessage,
    body: Buffer,
    isLate: boolean,
  ): Promise<IncomingMessage> {
    if (isLate) {
      this.#held();
      await this.#released;
    }
    const { onward } = this;
    const own = onward.headers as Record<string, string> | undefined;
    const options = { ...onward, method, path: url, headers: { ...headers, ...own } };
    const sent = (onward.agent ? encrypted : plain)(options).end(body);
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    return answer;
  }
}
