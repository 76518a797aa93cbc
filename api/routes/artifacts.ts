import type { ApiContext } from '../context.js';
import type { Handlers } from '../register.js';

/** What is in storage for a model. */
export const artifactHandlers = (context: ApiContext): Pick<Handlers, 'listArtifacts'> => ({
  listArtifacts: async ({ params: { model } }) => {
    const { storage } = context;
    const found = await Promise.all([storage.list(model, 'source'), storage.list(model, 'weights')]);
    return found
      .flat()
      .map(({ kind, name, object }) => ({ kind, name, size: object.size, modified: object.modified }));
  },
});
