import type { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { streams } from '../../contract/api.js';
import { Name } from '../../contract/names.js';
import { abortUpload, completeUpload, putPart, startUpload } from '../../platform/storage/uploads.js';
import type { ApiContext } from '../context.js';
import { check, untilGone, type Handlers } from '../register.js';

/** `YYYYMMDD` of today, UTC. */
const today = (): string => new Date().toISOString().slice(0, 10).replaceAll('-', '');

/** Uploads of source bundles and weights, in parts that survive an interruption. */
export const uploadHandlers = (
  context: ApiContext,
): Pick<Handlers, 'startUpload' | 'completeUpload' | 'abortUpload'> => ({
  startUpload: ({ params: { model }, body: { kind, date, size } }) =>
    startUpload(context.stack.s3, {
      model,
      kind,
      name: kind === 'weights' ? (date ?? today()) : model,
      size,
    }),

  completeUpload: async ({ params: { id }, body, signal }) => {
    const { stack } = context;
    const { storage, cache } = await context.platform();
    const deps = { storage, cache, limits: stack.archives, s3: stack.s3 };
    return await completeUpload(deps, id, body, { onProgress: () => undefined, signal });
  },

  abortUpload: async ({ params: { id } }) => {
    await abortUpload(context.stack.s3, id);
    return {};
  },
});

const PartParams = z.object({
  model: Name,
  id: z.string(),
  number: z.coerce.number().int().min(1).max(10_000),
});

/** The one call that takes raw bytes. */
export function registerParts(app: FastifyInstance, { stack }: ApiContext): void {
  app.register((raw, _options, done) => {
    raw.removeAllContentTypeParsers();
    // The body stays a stream: a part is larger than what may be held in memory for many uploads at once.
    raw.addContentTypeParser('*', (_request, payload, parsed) => parsed(null, payload));
    raw.put(streams.putPart, { bodyLimit: 5 * 2 ** 30 }, async (request, reply) => {
      const { id, number } = check('path', PartParams, request.params);
      await putPart(
        stack.s3,
        id,
        number,
        request.body as Readable,
        request.headers['content-md5'] as string | undefined,
        untilGone(reply),
      );
      return await reply.code(204).send();
    });
    done();
  });
}
