import type { Stack } from '../contract/stack.js';
import { postgresCatalog } from './catalog/postgres.js';
import { countAll } from './census/count.js';
import { judgeCount } from './census/judge.js';
import type { Census } from './census/schema.js';
import { createRegistry } from './images/registry.js';

export { Census, CensusItem } from './census/schema.js';

/**
 * Counts everything an installation has, on nodes, in the registry, in storage and in the catalog, and says of each
 * thing what it is there for. What is being drained or removed just now may show as unaccounted for a moment.
 * Changes nothing. Throws when the registry, storage or the catalog cannot be asked; a node that is away is an item.
 */
export async function census(stack: Stack): Promise<Census> {
  const catalog = await postgresCatalog(stack.postgres);
  try {
    const items = judgeCount(await countAll(stack, createRegistry(stack.registry), catalog));
    const unaccounted = items
      .filter(({ accounted }) => !accounted)
      .map(({ kind, name, reason }) => ({ kind, name, why: reason }));
    return { stack: stack.name, at: new Date().toISOString(), items, unaccounted };
  } finally {
    await catalog.close();
  }
}
