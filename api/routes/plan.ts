import { planDeployment } from '../../platform/plan.js';
import type { ApiContext } from '../context.js';
import type { Handlers } from '../register.js';

/** What a deployment would do. */
export const planHandlers = (context: ApiContext): Pick<Handlers, 'plan'> => ({
  plan: async ({ body, signal }) =>
    await planDeployment(await context.platform(), { ...body, service: body.service ?? body.model }, signal),
});
