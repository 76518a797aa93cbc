import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import pRetry, { AbortError, type RetryContext } from 'p-retry';
import { Agent, errors, request, type Dispatcher } from 'undici';
import { SlipwayError } from '../../contract/errors.js';
import { RegistryCredentials } from './registry-auth.js';
import { notAllowed, reasonIn, refusal, RegistryError, SourceReadError } from './registry-errors.js';

export type Call = {
  /** `uploading layer "sha256:…" to "slipway/iris"` */
  doing: string;
  method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  /** Absolute, or a path of the registry. */
  url: string | URL;
  repository: string | null;
  /** https://distribution.github.io/distribution/spec/auth/scope/ */
  scopes: readonly string[];
  headers?: Record<string, string>;
  body?: Buffer | (() => AsyncIterable<Uint8Array>);
  /** Statuses that answer the question; any other is thrown. */
  accept: readonly number[];
  signal?: AbortSignal | undefined;
};

export type Answer = {
  status: number;
  url: URL;
  header(name: string): string | undefined;
  body: Dispatcher.ResponseData['body'];
};

const retries = 5;
/** Longest a registry's `Retry-After` is waited for at once. */
const longestWait = 60_000;
const redirects = new Set([301, 302, 303, 307, 308]);

/** Talks HTTP to one registry: authenticates, follows redirects, tries again what may pass. */
export class RegistryHttp {
  readonly origin: URL;
  readonly #credentials: RegistryCredentials;
  readonly #agent = new Agent({ connect: { timeout: 10_000 }, headersTimeout: 300_000, bodyTimeout: 60_000 });

  constructor({ url, username, password }: { url: string; username: string; password: string }) {
    this.origin = originOf(url);
    this.#credentials = new RegistryCredentials(this.origin, username, password, this.#agent);
  }

  /** Sends a call until it is answered and `read` has read the answer: for calls that may be repeated. */
  async send<T>(call: Call, read: (answer: Answer) => Promise<T> | T): Promise<T> {
    return await retrying(
      async () => {
        const answer = await this.exchange(call);
        try {
          const result = await read(answer);
          await discard(answer);
          return result;
        } catch (error) {
          answer.body.on('error', () => undefined).destroy();
          throw error;
        }
      },
      { ...(call.signal ? { signal: call.signal } : {}) },
    );
  }

  /** Sends a call once; a 401 alone is answered with new credentials. The caller reads or discards the body. */
  async exchange(call: Call): Promise<Answer> {
    let url = new URL(call.url, this.origin);
    for (let hops = 0; hops < 6; hops++) {
      const answer = await this.#authorized(call, url);
      const location = answer.header('location');
      const follow = redirects.has(answer.status) && (call.method === 'GET' || call.method === 'HEAD');
      if (!follow || location === undefined) return await accepted(call, answer);
      await discard(answer);
      const next = new URL(location, url);
      if (url.protocol === 'https:' && next.protocol !== 'https:')
        throw new Error(`${call.doing}: refusing a redirect from https to "${next.origin}"`);
      url = next;
    }
    throw new Error(`${call.doing}: redirected too often`);
  }

  /** A proxy that ends TLS makes registries name themselves with http: the same host stays the same registry. */
  sameOrigin(url: URL): URL {
    if (url.protocol !== 'http:' || this.origin.protocol !== 'https:') return url;
    return url.hostname === this.origin.hostname ? new URL(url.pathname + url.search, this.origin) : url;
  }

  async #authorized(call: Call, url: URL): Promise<Answer> {
    for (let attempt = 0; ; attempt++) {
      // Blobs and uploads may be elsewhere: what this registry's credentials are is none of their business.
      const own = url.origin === this.origin.origin;
      const asking = { ...call, signal: call.signal ?? new AbortController().signal };
      const authorization = own ? await this.#credentials.header(asking) : undefined;
      const answer = await this.#once(call, url, authorization);
      if (!own || (answer.status !== 401 && answer.status !== 403)) return answer;
      const challenge = answer.header('www-authenticate') ?? '';
      const reason = reasonIn(await textOf(call, answer));
      const again = answer.status === 401 && this.#credentials.challenged(challenge, asking, authorization);
      if (again && attempt < 2) continue;
      const { username } = this.#credentials;
      throw notAllowed(call.doing, call.repository, username, answer.status, reason);
    }
  }

  async #once(call: Call, url: URL, authorization: string | undefined): Promise<Answer> {
    const { body } = call;
    const answer = await request(url, {
      dispatcher: this.#agent,
      method: call.method,
      headers: { 'user-agent': 'slipway', ...call.headers, ...(authorization ? { authorization } : {}) },
      body: typeof body === 'function' ? Readable.from(body(), { objectMode: false }) : (body ?? null),
      ...(call.signal ? { signal: call.signal } : {}),
    });
    return {
      status: answer.statusCode,
      url,
      header: (name) => [answer.headers[name]].flat()[0],
      body: answer.body,
    };
  }
}

/** Ends with an answer's connection being free, or closed where too much is still to come. */
export const discard = async (answer: Answer): Promise<void> => {
  if (!answer.body.bodyUsed && !answer.body.destroyed) await answer.body.dump({ limit: 64 * 1024 });
};

async function accepted(call: Call, answer: Answer): Promise<Answer> {
  if (call.accept.includes(answer.status)) return answer;
  const body = await textOf(call, answer);
  const headers = { 'retry-after': answer.header('retry-after') };
  throw refusal({ doing: call.doing, status: answer.status, headers, body });
}

/** The text of a refusal, of which only the beginning is of use. */
async function textOf(call: Call, answer: Answer): Promise<string> {
  if (call.method === 'HEAD') {
    await discard(answer);
    return '';
  }
  return (await answer.body.text()).slice(0, 64 * 1024);
}

type Retrying = { signal?: AbortSignal; shouldConsumeRetry?: (context: RetryContext) => boolean };

/** Tries again what may pass: cut connections, 429 and 5xx, as late as the registry asks for. */
export async function retrying<T>(
  act: () => Promise<T>,
  { signal, shouldConsumeRetry }: Retrying,
): Promise<T> {
  return await pRetry(
    async () => {
      try {
        return await act();
      } catch (error) {
        signal?.throwIfAborted();
        throw mayPass(error) ? error : new AbortError(error as Error);
      }
    },
    {
      retries,
      minTimeout: 200,
      maxTimeout: 5_000,
      randomize: true,
      onFailedAttempt: async ({ error, retriesLeft }) => {
        if (!(error instanceof RegistryError) || error.retryAfter === null || retriesLeft === 0) return;
        await sleep(Math.min(error.retryAfter, longestWait), undefined, signal ? { signal } : {});
      },
      ...(signal ? { signal } : {}),
      ...(shouldConsumeRetry ? { shouldConsumeRetry } : {}),
    },
  );
}

function mayPass(error: unknown): boolean {
  if (error instanceof SlipwayError || error instanceof SourceReadError) return false;
  if (error instanceof RegistryError) return error.passing;
  return error instanceof errors.UndiciError || (error as NodeJS.ErrnoException).code !== undefined;
}

/** A host alone means https, except on this machine. */
function originOf(url: string): URL {
  if (/^https?:\/\//.test(url)) return new URL(url);
  const loopback = /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(url);
  return new URL(`${loopback ? 'http' : 'https'}://${url}`);
}
