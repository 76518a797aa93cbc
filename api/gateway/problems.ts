import type { FastifyReply } from 'fastify';
import { errors } from 'undici';
import type { ApiError } from '../../contract/api.js';
import { messageOf } from '../../contract/errors.js';
import { BodyTooLarge } from './body.js';
import { NoReplica, NoRoute } from './forward.js';

/** Answers with what went wrong, in the API's form of an error. */
export function answerProblem(reply: FastifyReply, error: unknown): FastifyReply {
  const { status, type } = classify(error);
  // Nothing was sent, or soon something else will answer.
  if (status === 503) void reply.header('retry-after', '1');
  // The rest of the body is on its way and nobody will read it.
  if (status === 413) void reply.header('connection', 'close');
  return reply.code(status).send({ error: { type, message: messageOf(error) } } satisfies ApiError);
}

function classify(error: unknown): { status: number; type: string } {
  if (error instanceof BodyTooLarge) return { status: 413, type: 'InvalidInput' };
  if (error instanceof NoRoute) return { status: 404, type: 'NotFound' };
  if (error instanceof NoReplica) return { status: 503, type: 'Unavailable' };
  const { cause } = error as Error;
  if (cause instanceof errors.HeadersTimeoutError || cause instanceof errors.BodyTimeoutError)
    return { status: 504, type: 'Unavailable' };
  if (cause instanceof Error) return { status: 502, type: 'Unavailable' };
  // Fastify's own, such as a URL that cannot be decoded.
  const { statusCode = 500 } = error as { statusCode?: number };
  return { status: statusCode, type: statusCode < 500 ? 'InvalidInput' : 'Internal' };
}
