import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { messageOf } from '../../contract/errors.js';
import type { Catalog } from '../../platform/catalog/index.js';
import { PassingBody } from './body.js';
import { RouteFollower } from './follower.js';
import { forward, NoReplica, NoRoute, type Outcome } from './forward.js';
import { lingering } from './lingering.js';
import { GatewayMetrics } from './metrics.js';
import { answerProblem } from './problems.js';
import { recallRoutes } from './remembered.js';
import { TrafficReporter } from './reporter.js';
import { RouteTable } from './route-table.js';
import { TrafficCounts } from './traffic-counts.js';

/** Longest a start waits for routes, in milliseconds. */
const startPatience = 2_000;

export type GatewayOptions = {
  /** Opens the catalog, or throws; asked again until it can be reached. The gateway does not close it. */
  catalog: () => Promise<Catalog>;
  listen: { host: string; port: number };
  /** Folder where routes are remembered. */
  stateFolder: string;
  logger: Logger;
  /** Name under which route versions are acknowledged; default: host name and port. */
  id?: string;
  /** Largest request body, in bytes. */
  bodyLimit?: number;
  /** Longest a replica may take to answer, in milliseconds. */
  answerTimeout?: number;
};

export type Gateway = {
  url: string;
  /** Takes no new connections, answers what is in flight, says goodbye to the catalog. */
  close(): Promise<void>;
};

/**
 * Starts the HTTP front that sends predictions to the replicas of live releases: `POST /v1/models/:service/predict`,
 * `GET /v1/models/:service`, `/healthz`, `/metrics`. Needs no catalog to start: it serves the routes it remembers.
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { listen, stateFolder, logger, answerTimeout = 60_000 } = options;
  const file = join(stateFolder, 'routes.json');
  const table = new RouteTable(answerTimeout);
  await recall(table, file, logger);
  // The same after a restart, so that nobody waits for the one before.
  const id = options.id ?? (listen.port ? `${hostname()}:${listen.port}` : randomUUID());
  const catalog = openedOnce(options.catalog);
  const follower = new RouteFollower({ catalog, table, file, id, logger });
  const counts = new TrafficCounts();
  const reporter = new TrafficReporter({ catalog, counts, id, logger });
  const app = createApp(options, table, follower, counts);
  await follower.start(startPatience);
  reporter.start();
  const closeLingering = lingering(app.server);
  const url = await app.listen(listen);
  return {
    url,
    async close() {
      const closing = setInterval(closeLingering, 50);
      await app.close();
      clearInterval(closing);
      await reporter.stop();
      await follower.stop();
      await table.close();
    },
  };
}

function createApp(
  { logger, bodyLimit = 64 * 2 ** 20 }: GatewayOptions,
  table: RouteTable,
  follower: RouteFollower,
  counts: TrafficCounts,
): FastifyInstance {
  const metrics = new GatewayMetrics(table);
  const app = Fastify({
    // Longer than what is in front of it keeps a connection, so that it is not closed under a request.
    keepAliveTimeout: 75_000,
    forceCloseConnections: 'idle',
    // A request on a connection that was open before the end began is still answered.
    return503OnClosing: false,
  });
  // Bodies are passed on, not read.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));

  app.post<Service>('/v1/models/:service/predict', async (request, reply) => {
    const { service } = request.params;
    const outcome: Outcome = { release: null, failed: null };
    // Not `reply.elapsedTime`: that is 0 without Fastify's own logger.
    const began = performance.now();
    const signal = whenClosed(reply, (answered) => {
      const { release, failed } = outcome;
      const milliseconds = performance.now() - began;
      const brokenOff = failed ? 502 : 499;
      metrics.answered(service, release, answered ? reply.statusCode : brokenOff, milliseconds);
      // A client that left says nothing of the release.
      if (release !== null && failed !== null && (answered || failed))
        counts.add(service, release, failed, milliseconds);
    });
    const onRefused = (): void => {
      metrics.connectionRefused();
      follower.wake();
    };
    try {
      const body = new PassingBody(request.raw, bodyLimit);
      if (table.version === null) throw new NoReplica('no routes are known yet');
      await forward(service, request, reply, body, { table, onRefused, signal, outcome });
    } catch (error) {
      if (signal.aborted) return reply;
      if (!(error instanceof NoRoute)) logger.warn({ service }, `predicting: ${messageOf(error)}`);
      return answerProblem(reply, error);
    }
    return reply;
  });

  app.get<Service>('/v1/models/:service', async ({ params: { service } }, reply) => {
    const upstream = table.find(service);
    if (!upstream) return answerProblem(reply, new NoRoute(`no service "${service}" has a route here`));
    const { release, replicas, version, canary } = upstream.route;
    return {
      service,
      release,
      version,
      replicas: replicas.length,
      canary: canary && { ...canary, replicas: canary.replicas.length },
    };
  });
  app.get('/healthz', async () => ({
    status: 'ok',
    version: table.version,
    catalog: follower.reachable ? 'reachable' : 'away',
  }));
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  app.setNotFoundHandler((request, reply) =>
    answerProblem(reply, new NoRoute(`nothing is at ${request.method} ${request.url}`)),
  );
  app.setErrorHandler((error, _request: FastifyRequest, reply) => answerProblem(reply, error));
  return app;
}

type Service = { Params: { service: string } };

/** Aborts when the client goes before it is answered; tells at the end whether it was answered whole. */
function whenClosed(reply: FastifyReply, ended: (answered: boolean) => void): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    const answered = reply.raw.writableFinished;
    if (!answered) gone.abort();
    ended(answered);
  });
  return gone.signal;
}

/** Several may ask for the catalog, also while it cannot be reached: it is opened once. */
function openedOnce(open: () => Promise<Catalog>): () => Promise<Catalog> {
  let opening: Promise<Catalog> | null = null;
  return () =>
    (opening ??= open().catch((error: unknown) => {
      opening = null;
      throw error;
    }));
}

async function recall(table: RouteTable, file: string, logger: Logger): Promise<void> {
  try {
    const remembered = await recallRoutes(file);
    if (remembered) await table.adopt(remembered.version, remembered.routes);
  } catch (error) {
    logger.warn(`${messageOf(error)}; starting without them`);
  }
}
