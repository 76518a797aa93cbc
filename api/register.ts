import type { FastifyInstance, FastifyReply } from 'fastify';
import type { z } from 'zod';
import { endpoints, type EndpointName } from '../contract/api.js';
import { describeIssues } from '../contract/deploy.js';
import { SlipwayError } from '../contract/errors.js';

type Call<N extends EndpointName> = (typeof endpoints)[N];
type Input<N extends EndpointName> = {
  params: z.output<Call<N>['params']>;
  query: z.output<Call<N>['query']>;
  body: Call<N>['body'] extends z.ZodType ? z.output<Call<N>['body']> : null;
  /** Aborted when the client is gone. */
  signal: AbortSignal;
};
/** One handler for every entry of `endpoints`; its input is validated already. */
export type Handlers = {
  [N in EndpointName]: (input: Input<N>) => Promise<z.input<Call<N>['response']>>;
};

const mebibyte = 2 ** 20;

/** Registers every call of the contract below the instance's prefix. */
export function registerEndpoints(app: FastifyInstance, handlers: Handlers): void {
  for (const name of Object.keys(endpoints) as EndpointName[]) {
    const { method, path, params, query, body, response } = endpoints[name];
    app.route({
      method,
      url: path,
      // Inputs of models may be images or long texts; what goes to Temporal may not.
      bodyLimit: name === 'predict' ? 64 * mebibyte : 2 * mebibyte,
      handler: async (request, reply) => {
        const input = {
          params: check('path', params, request.params),
          query: check('query', query, request.query),
          body: body === null ? null : check('body', body, request.body ?? {}),
          signal: untilGone(reply),
        };
        const handler = handlers[name] as (input: unknown) => Promise<unknown>;
        return await reply.send(response.parse(await handler(input)));
      },
    });
  }
}

/** Aborts when the client goes away before it has its answer. */
export function untilGone(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  // Of the answer, not of the socket: that one lives on, and would gather a listener with every request.
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  return gone.signal;
}

/** Parses one part of a request. Throws `InvalidInput` naming part and field. */
export function check<T extends z.ZodType>(part: string, schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw new SlipwayError('InvalidInput', `request ${part}: ${describeIssues(parsed.error)}`, {
      issues: parsed.error.issues.map(({ path, message }) => ({ field: path.join('.'), message })),
    });
  return parsed.data;
}
