import type { z } from 'zod';
import { Agent, request, type Dispatcher } from 'undici';
import { ApiError, endpoints, streams, type EndpointName } from '../contract/api.js';
import { describeIssues } from '../contract/deploy.js';
import { messageOf } from '../contract/errors.js';
import { ApiFailure } from './failure.js';

export { ApiFailure };

type Call<N extends EndpointName> = (typeof endpoints)[N];
type Body<N extends EndpointName> = Call<N>['body'] extends z.ZodType ? z.input<Call<N>['body']> : undefined;
/** A member that has nothing in it that must be given may be left out. */
type Member<K extends string, T> = undefined extends T
  ? { [k in K]?: undefined }
  : Record<never, never> extends T
    ? { [k in K]?: T }
    : { [k in K]: T };
/** Path parameters, query and body of a call. */
export type CallInput<N extends EndpointName> = Member<'params', z.input<Call<N>['params']>> &
  Member<'query', z.input<Call<N>['query']>> &
  Member<'body', Body<N>> & { signal?: AbortSignal };
type Arguments<N extends EndpointName> =
  Record<never, never> extends CallInput<N> ? [input?: CallInput<N>] : [input: CallInput<N>];
/** The same without its types. */
type Loose = { params?: unknown; query?: unknown; body?: unknown; signal?: AbortSignal };
type Query = Record<string, string | number | boolean | undefined>;
export type CallResult<N extends EndpointName> = z.output<Call<N>['response']>;

/** Typed client of `/api/v1`: one method for every entry of `endpoints`, and the two streams. */
export class ApiClient {
  // Validating a large archive or following a log answers when it is done, not within a fixed time.
  private readonly agent = new Agent({ headersTimeout: 0, bodyTimeout: 0 });

  /** `url` is the API's origin, such as `http://127.0.0.1:4600`. */
  constructor(
    private readonly url: string,
    private readonly token: string,
  ) {}

  /** Makes a call. Throws {@link ApiFailure}; the answer is checked against its schema. */
  async call<N extends EndpointName>(name: N, ...[input]: Arguments<N>): Promise<CallResult<N>> {
    const { method, path, response } = endpoints[name];
    const { params = {}, query = {}, body, signal }: Loose = input ?? {};
    const answer = await this.send(method, fill(path, params as Record<string, string>), {
      query: query as Query,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      ...(signal ? { signal } : {}),
    });
    const parsed = response.safeParse(await answer.body.json());
    if (parsed.success) return parsed.data as CallResult<N>;
    throw new ApiFailure(
      answer.statusCode,
      'Internal',
      `the API at ${this.url} answered ${name} in a form this client does not know: ${describeIssues(parsed.error)}`,
    );
  }

  /** Sends one part of an upload; `md5` in base64 lets the server refuse what arrived otherwise. */
  async putPart(
    model: string,
    id: string,
    part: { number: number; bytes: Buffer; md5: string },
    signal?: AbortSignal,
  ): Promise<void> {
    const path = fill(streams.putPart, { model, id, number: String(part.number) });
    const answer = await this.send('PUT', path, {
      body: part.bytes,
      headers: { 'content-type': 'application/octet-stream', 'content-md5': part.md5 },
      ...(signal ? { signal } : {}),
    });
    await answer.body.dump();
  }

  /** A deployment's log as it grows; ends with the deployment when `follow` is set, else at once. */
  async *logs(
    id: string,
    query: { run?: string; follow?: boolean } = {},
    signal?: AbortSignal,
  ): AsyncGenerator<string> {
    const answer = await this.send('GET', fill(streams.logs, { id }), {
      query,
      ...(signal ? { signal } : {}),
    });
    answer.body.setEncoding('utf8');
    try {
      for await (const chunk of answer.body) yield chunk as string;
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new ApiFailure(
        0,
        'Unavailable',
        `the API at ${this.url} ended the log: ${messageOf(cause)}`,
        {},
        { cause },
      );
    }
  }

  async close(): Promise<void> {
    await this.agent.close();
  }

  private async send(
    method: Dispatcher.HttpMethod,
    path: string,
    options: {
      query?: Query;
      headers?: Record<string, string>;
      body?: string | Buffer;
      signal?: AbortSignal;
    },
  ): Promise<Dispatcher.ResponseData> {
    const { query = {}, headers = {}, ...rest } = options;
    const url = new URL(`/api/v1${path}`, this.url);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value));
    let answer: Dispatcher.ResponseData;
    try {
      answer = await request(url, {
        method,
        dispatcher: this.agent,
        headers: { authorization: `Bearer ${this.token}`, ...headers },
        ...rest,
      });
    } catch (cause) {
      if (rest.signal?.aborted) throw cause;
      throw new ApiFailure(
        0,
        'Unavailable',
        `asking the API at ${this.url}: ${messageOf(cause)}`,
        {},
        { cause },
      );
    }
    if (answer.statusCode >= 400) throw await failureOf(answer, this.url);
    return answer;
  }
}

async function failureOf(answer: Dispatcher.ResponseData, url: string): Promise<ApiFailure> {
  const text = await answer.body.text();
  const parsed = ApiError.safeParse(parseJson(text));
  if (!parsed.success)
    return new ApiFailure(
      answer.statusCode,
      'Internal',
      `the API at ${url} answered ${answer.statusCode}: ${text}`,
    );
  const { type, message, details } = parsed.data.error;
  return new ApiFailure(answer.statusCode, type, message, details);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Puts path parameters in; any workflow id is a valid one. */
const fill = (path: string, params: Record<string, string>): string =>
  path.replace(/:(\w+)/g, (_match, name: string) => encodeURIComponent(params[name] ?? ''));
