import {
  isGrpcServiceError,
  ServiceError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { ApiError } from '../contract/api.js';
import { failureTypes, messageOf, SlipwayError } from '../contract/errors.js';
import type { Stack } from '../contract/stack.js';

/** A server behind the API is away; trying again later may help. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}

/** The token is missing or wrong. */
export class Unauthorized extends Error {
  override readonly name = 'Unauthorized';
}

const statuses: Record<string, number> = {
  InvalidInput: 400,
  Unauthorized: 401,
  NotFound: 404,
  Conflict: 409,
  Unavailable: 503,
};
/** Status codes of gRPC that are not a server being away. https://grpc.io/docs/guides/status-codes/ */
const refusals: Record<number, string> = {
  3: 'InvalidInput',
  5: 'NotFound',
  6: 'Conflict',
  7: 'Internal',
  9: 'Conflict',
  16: 'Internal',
};
/** Faults of connections, by their codes: what is behind them is away. */
const away = /^(?:E(?:CONN|HOST|NET|TIMEDOUT|PIPE|AI|NOTFOUND)|CONNECT|CONNECTION_|UND_ERR_|57P0)/;
const advice = '"slipway doctor" says what is away';

type Known = { type: string; message: string; details?: Record<string, unknown> };

/** Status and body that say what went wrong; `Internal` for what nobody foresaw. */
export function answerTo(error: unknown, stack: Stack): { status: number; body: ApiError } {
  const { type, message, details } = classify(error, stack);
  return {
    status: statuses[type] ?? 500,
    body: { error: { type, message, ...(details && Object.keys(details).length > 0 ? { details } : {}) } },
  };
}

function classify(error: unknown, stack: Stack): Known {
  if (error instanceof SlipwayError)
    return { type: error.type, message: error.message, details: error.details };
  if (error instanceof Unauthorized) return { type: error.name, message: error.message };
  if (error instanceof Unavailable)
    return { type: error.name, message: `${where(error, stack)}${messageOf(error)}; ${advice}` };
  const told = ofTemporal(error, stack);
  if (told) return told;
  if (isAway(error))
    return { type: 'Unavailable', message: `${where(error, stack)}${messageOf(error)}; ${advice}` };
  // Fastify's own refusals: a body that is no JSON, or too large.
  const status = (error as { statusCode?: number }).statusCode;
  if (status !== undefined && status >= 400 && status < 500)
    return { type: 'InvalidInput', message: messageOf(error) };
  return { type: 'Internal', message: messageOf(error) };
}

/** What Temporal, or a workflow behind it, answered. */
function ofTemporal(error: unknown, { temporal: { address } }: Stack): Known | null {
  if (error instanceof WorkflowNotFoundError)
    return { type: 'NotFound', message: `no such deployment: "${error.workflowId}"` };
  if (error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure) {
    const { type, message } = error.cause;
    return { type: failureTypes.find((known) => known === type) ?? 'Internal', message };
  }
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError)
    return { type: 'Unavailable', message: `no worker took it in time; ${advice}` };
  if (!(error instanceof ServiceError) && !isGrpcServiceError(error)) return null;
  const cause: unknown = error instanceof ServiceError ? error.cause : error;
  const { code, details } = isGrpcServiceError(cause)
    ? cause
    : { code: undefined, details: messageOf(error) };
  const type = refusals[code ?? -1];
  if (type) return { type, message: `Temporal refused: ${details}` };
  // What gRPC says of a deadline is about its own insides.
  const why = code === 4 ? '' : `: ${details}`;
  return { type: 'Unavailable', message: `Temporal at ${address} does not answer${why}; ${advice}` };
}

function isAway(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (at.name === 'TimeoutError' || away.test(String(code ?? ''))) return true;
    if (at instanceof AggregateError && at.errors.some(isAway)) return true;
  }
  return false;
}

/** The server that an error names by its address: `object storage at 127.0.0.1:9000 is away: `. */
function where(error: unknown, { s3, postgres, registry, gateway }: Stack): string {
  const servers = { 'object storage': s3.endpoint, PostgreSQL: postgres, registry: registry.url, gateway };
  const message = messageOf(error);
  for (const [name, url] of Object.entries(servers)) {
    const { host } = new URL(url);
    const at = message.indexOf(host);
    if (at >= 0 && !/\d/.test(message[at + host.length] ?? '')) return `${name} at ${host} is away: `;
  }
  return '';
}
