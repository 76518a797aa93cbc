import { createHash, timingSafeEqual } from 'node:crypto';
import Fastify, { type FastifyInstance } from 'fastify';
import type { ApiContext } from './context.js';
import { answerTo, Unauthorized } from './errors.js';
import { openapi } from './openapi.js';
import { registerEndpoints } from './register.js';
import { artifactHandlers } from './routes/artifacts.js';
import { deploymentHandlers } from './routes/deployments.js';
import { registerLogs } from './routes/logs.js';
import { planHandlers } from './routes/plan.js';
import { serviceHandlers } from './routes/services.js';
import { registerParts, uploadHandlers } from './routes/uploads.js';

/** The HTTP API. Everything below `/api/v1` wants the bearer token. */
export function createApi(context: ApiContext): FastifyInstance {
  // Workflow ids are path parameters, and may be long.
  const app = Fastify({ routerOptions: { maxParamLength: 2_000 }, forceCloseConnections: true });
  app.addHook('onSend', async (_request, reply) => {
    // Answers are data: no browser is to run, frame, keep or sniff them.
    void reply.headers({
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'referrer-policy': 'no-referrer',
    });
  });
  app.setErrorHandler((error, request, reply) => {
    const { status, body } = answerTo(error, context.stack);
    // Servers that are away are asked for again and again: a line says enough.
    if (status === 503) context.logger.warn({ url: request.url }, body.error.message);
    else if (status >= 500) context.logger.error({ err: error, url: request.url }, body.error.message);
    return reply.code(status).send(body);
  });
  app.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send({ error: { type: 'NotFound', message: `no ${request.method} ${request.url} here` } }),
  );
  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/api/openapi.json', () => openapi());
  app.register(
    (v1, _options, done) => {
      v1.addHook('onRequest', async (request) =>
        authenticate(context.stack.token, request.headers.authorization),
      );
      registerEndpoints(v1, {
        ...uploadHandlers(context),
        ...artifactHandlers(context),
        ...deploymentHandlers(context),
        ...serviceHandlers(context),
        ...planHandlers(context),
      });
      registerParts(v1, context);
      registerLogs(v1, context);
      done();
    },
    { prefix: '/api/v1' },
  );
  return app;
}

function authenticate(token: string, header: string | undefined): void {
  const given = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1] ?? '';
  // Digests are of one length, which the comparison in constant time wants.
  const digest = (text: string) => createHash('sha256').update(text).digest();
  if (!timingSafeEqual(digest(given), digest(token)))
    throw new Unauthorized('the bearer token is missing or wrong; it is "token" in the stack file');
}
