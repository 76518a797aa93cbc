import { MemoryCatalog } from '../support/memory-catalog.js';
import { conformsToCatalog } from './catalog/index.js';

conformsToCatalog('the catalog in memory', async () => {
  const catalog = new MemoryCatalog();
  // Other processes cannot open it: they all have this one, and close nothing.
  const another = async () =>
    Object.assign(Object.create(catalog) as MemoryCatalog, { close: async () => undefined });
  return { catalog, another, remove: async () => undefined };
});
