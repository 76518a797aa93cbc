import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Dispatcher } from 'undici';
import { messageOf } from '../../contract/errors.js';
import { serving } from '../../contract/serving.js';
import type { PassingBody } from './body.js';
import { toClient, toReplica } from './headers.js';
import type { Chosen, RouteTable } from './route-table.js';

/**
 * How long connections are tried, in milliseconds. While they are refused: a replica may be restarting, a route about to
 * move. Longer once one led nowhere: of the pods behind an address some may be gone, which a cluster's proxy that was
 * cut off learns half a minute later, and each connection takes its chance. With two of three gone, one request
 * in 50 000 meets none of the living in so many tries.
 */
const connectPatience = { refused: 3_000, silent: 8_000 };
const connectInterval = 50;

/** No replica could be connected to; nothing was sent. */
export class NoReplica extends Error {}
/** The request was sent, and no answer came of it: it is not known what the replica did, so it is not sent again. */
export class NoAnswer extends Error {}
/** No route names the service. */
export class NoRoute extends Error {}

export type ForwardOptions = {
  table: RouteTable;
  /** Called when a replica refuses connections: the routes may have moved on. */
  onRefused: () => void;
  signal: AbortSignal;
  /** Filled in on the way: known also when this throws, or the answer breaks off later. */
  outcome: Outcome;
};

/** Which release a request was for, and whether that failed it; null while, or because, it has no part in the end. */
export type Outcome = { release: string | null; failed: boolean | null };

/**
 * Sends a prediction to a replica of the service and its answer back, both streamed. Tried again, elsewhere if
 * possible, only while no connection could be made. Throws {@link NoRoute}, {@link NoReplica}, {@link NoAnswer}, or
 * `BodyTooLarge`.
 */
export async function forward(
  service: string,
  request: FastifyRequest,
  reply: FastifyReply,
  body: PassingBody,
  { table, onRefused, signal, outcome }: ForwardOptions,
): Promise<void> {
  const headers = toReplica(request.headers);
  const start = performance.now();
  let patience = connectPatience.refused;
  let assigned: string | null = null;
  let refusal: unknown;
  for (;;) {
    // Looked up for each attempt: the route may have moved while the last one was being refused.
    const upstream = table.find(service);
    if (!upstream) throw new NoRoute(`no service "${service}" has a route here`);
    assigned ??= table.assign(upstream).release;
    const chosen = table.choose(upstream, assigned);
    if (chosen) {
      outcome.release = chosen.release;
      const result = await attempt(chosen, body, headers, signal, outcome);
      if (!('refusal' in result)) return void send(reply, chosen.release, result, signal, outcome);
      refusal = result.refusal;
      if (!isRefused(refusal)) patience = connectPatience.silent;
      onRefused();
    }
    if (performance.now() - start > patience) {
      Object.assign(outcome, { release: assigned, failed: true });
      const why = refusal === undefined ? '' : `: ${messageOf(refusal)}`;
      throw new NoReplica(`no replica of "${assigned}" accepts a connection${why}`);
    }
    await delay(connectInterval, undefined, { signal });
  }
}

/** The answer, or why no connection could be made. */
async function attempt(
  { release, replica }: Chosen,
  body: PassingBody,
  headers: ReturnType<typeof toReplica>,
  signal: AbortSignal,
  outcome: Outcome,
): Promise<Dispatcher.ResponseData | { refusal: unknown }> {
  try {
    return await replica.post({ path: serving.predict, headers, body: body.pieces(), signal });
  } catch (cause) {
    if (signal.aborted || body.failure) throw body.failure ?? cause;
    if (body.sent) {
      outcome.failed = true;
      throw new NoAnswer(`asking a replica of "${release}"`, { cause });
    }
    replica.refusedAt = performance.now();
    return { refusal: cause };
  }
}

/** Whether somebody said that nobody listens there. */
const isRefused = (cause: unknown): boolean => (cause as NodeJS.ErrnoException).code === 'ECONNREFUSED';

function send(
  reply: FastifyReply,
  release: string,
  answer: Dispatcher.ResponseData,
  signal: AbortSignal,
  outcome: Outcome,
): FastifyReply {
  outcome.failed = answer.statusCode >= 500;
  // It broke off, unless the client had left: then what is being read is given up here.
  answer.body.once('error', () => (outcome.failed ||= !signal.aborted));
  return reply
    .code(answer.statusCode)
    .headers(toClient(answer.headers))
    .header('x-slipway-release', release)
    .send(answer.body);
}
