import { request } from 'undici';
import { z } from 'zod';
import type { ServiceView } from '../../contract/api.js';
import { SlipwayError } from '../../contract/errors.js';
import type { ServiceRecord } from '../../contract/service.js';
import type { Catalog } from '../../platform/catalog/index.js';
import type { ApiContext } from '../context.js';
import { startDeployment } from '../deployments.js';
import { Unavailable } from '../errors.js';
import type { Handlers } from '../register.js';

/** Services: what serves, what could, going back, and asking one. */
export const serviceHandlers = (
  context: ApiContext,
): Pick<Handlers, 'listServices' | 'getService' | 'listAudit' | 'rollback' | 'predict'> => ({
  listServices: async () => {
    const { catalog } = await context.platform();
    return await Promise.all((await catalog.listServices()).map((record) => view(catalog, record)));
  },

  getService: async ({ params: { service } }) => {
    const { catalog } = await context.platform();
    return await view(catalog, await known(catalog, service));
  },

  listAudit: async ({ params: { service }, query: { limit } }) => {
    const { catalog } = await context.platform();
    await known(catalog, service);
    return await catalog.auditOf(service, limit);
  },

  rollback: async ({ params: { service }, body: { to, onConflict } }) => {
    const { catalog } = await context.platform();
    const record = await known(catalog, service);
    const id = to ?? record.previous;
    if (!id)
      throw new SlipwayError(
        'NotFound',
        `rolling back "${service}": there is no release ${record.live ? `before "${record.live}"` : 'yet'}`,
      );
    const release = await catalog.getRelease(id);
    if (!release || release.service !== service)
      throw new SlipwayError('NotFound', `rolling back "${service}": it has no release "${id}"`);
    if (id === record.live)
      throw new SlipwayError('Conflict', `rolling back "${service}": it serves "${id}" already`);
    return await startDeployment(context, { model: release.model, service, rollbackTo: id, onConflict });
  },

  predict: async ({ params: { service }, body, signal }) => {
    // By way of the gateway, so that what is tried here is what users get.
    const answer = await request(`${context.stack.gateway}/v1/models/${service}/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw refusal(service, answer.statusCode, text);
    return Predicted.parse(JSON.parse(text));
  },
});

const view = async (catalog: Catalog, record: ServiceRecord): Promise<ServiceView> => ({
  record,
  route: await catalog.getRoute(record.service),
  releases: await catalog.listReleases(record.service),
});

async function known(catalog: Catalog, service: string): Promise<ServiceRecord> {
  const record = await catalog.getService(service);
  if (!record) throw new SlipwayError('NotFound', `no service "${service}"`);
  return record;
}

const Predicted = z.object({ output: z.unknown() });
/** The gateway's own words, or those of the model behind it. */
const Problem = z.object({ error: z.union([z.string(), z.object({ message: z.string() })]) });

/** What gateway or model answered instead of a prediction. */
function refusal(service: string, status: number, text: string): Error {
  const problem = Problem.safeParse(parseJson(text));
  const said = problem.success ? problem.data.error : text.slice(0, 500);
  const reason = typeof said === 'string' ? said : said.message;
  const message = `predicting with "${service}": ${reason || `the model answered ${status}`}`;
  if (status === 404) return new SlipwayError('NotFound', message);
  if (status >= 502 && status <= 504) return new Unavailable(message);
  return status < 500 ? new SlipwayError('InvalidInput', message) : new Error(message);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
