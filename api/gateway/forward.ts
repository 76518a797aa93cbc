import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Dispatcher } from 'undici';
import { serving } from '../../contract/serving.js';
import type { PassingBody } from './body.js';
import { toClient, toReplica } from './headers.js';
import type { Replica } from './replica.js';
import type { RouteTable, Upstream } from './route-table.js';

/** How long connections are tried, in milliseconds: a replica may be restarting, a route about to move. */
const connectPatience = 2_000;
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
};

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
  { table, onRefused, signal }: ForwardOptions,
): Promise<void> {
  const headers = toReplica(request.headers);
  const end = performance.now() + connectPatience;
  for (;;) {
    // Looked up for each attempt: the route may have moved while the last one was being refused.
    const upstream = table.find(service);
    if (!upstream) throw new NoRoute(`no service "${service}" has a route here`);
    const replica = table.choose(upstream);
    if (replica) {
      const answer = await attempt(replica, upstream, body, headers, signal);
      if (answer) return void send(reply, upstream, answer);
      onRefused();
    }
    if (performance.now() > end)
      throw new NoReplica(`no replica of "${upstream.route.release}" accepts a connection`);
    await delay(connectInterval, undefined, { signal });
  }
}

/** Null when no connection could be made. */
async function attempt(
  replica: Replica,
  { route }: Upstream,
  body: PassingBody,
  headers: ReturnType<typeof toReplica>,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData | null> {
  try {
    return await replica.post({ path: serving.predict, headers, body: body.pieces(), signal });
  } catch (cause) {
    if (signal.aborted || body.failure) throw body.failure ?? cause;
    if (body.sent) throw new NoAnswer(`asking a replica of "${route.release}"`, { cause });
    replica.refusedAt = performance.now();
    return null;
  }
}

function send(reply: FastifyReply, { route }: Upstream, answer: Dispatcher.ResponseData): FastifyReply {
  return reply
    .code(answer.statusCode)
    .headers(toClient(answer.headers))
    .header('x-slipway-release', route.release)
    .send(answer.body);
}
