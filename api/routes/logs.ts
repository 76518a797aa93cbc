import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import pRetry from 'p-retry';
import { z } from 'zod';
import { streams } from '../../contract/api.js';
import type { DeploymentRef } from '../../contract/pipeline.js';
import { readBuildLog } from '../../platform/images/build-log.js';
import { readEvidence } from '../../platform/evidence.js';
import type { ApiContext } from '../context.js';
import { describeDeployment, isOpen } from '../describe.js';
import { check, untilGone } from '../register.js';

const Query = z.object({ run: z.string().optional(), follow: z.enum(['true', 'false']).default('false') });
const Params = z.object({ id: z.string() });

const interval = 500;
/** A server that is away for about a minute does not end a log that is being followed. */
const patience = { retries: 30, minTimeout: interval, maxTimeout: 2_000 };

/** A deployment's log: the build as it goes, then what replicas that failed said last. */
export function registerLogs(app: FastifyInstance, context: ApiContext): void {
  app.get(streams.logs, async (request, reply) => {
    const { id } = check('path', Params, request.params);
    const { run, follow } = check('query', Query, request.query);
    const { runId } = await context.temporal((client) => describeDeployment(client, id, run));
    const deployment = { workflowId: id, runId };
    const lines = read(context, deployment, follow === 'true', untilGone(reply));
    return await reply.type('text/plain; charset=utf-8').send(Readable.from(lines, { objectMode: false }));
  });
}

async function* read(
  context: ApiContext,
  deployment: DeploymentRef,
  follow: boolean,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const { workflowId, runId } = deployment;
  const patiently = <T>(step: () => Promise<T>): Promise<T> =>
    follow ? pRetry(step, { ...patience, signal }) : step();
  let offset = 0;
  for (;;) {
    // Looked up before the log is read: what was written until the end is then in what is read.
    const description = await patiently(() =>
      context.temporal((client) => describeDeployment(client, workflowId, runId)),
    );
    const { text, next } = await patiently(() => readBuildLog(context.storage, deployment, offset));
    offset = next;
    if (text !== '') yield text;
    if (!follow || !isOpen(description)) break;
    await delay(interval, undefined, { signal });
  }
  yield* readEvidence(context.storage, deployment);
}
