import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { makeDatabase } from '../support/database.js';
import { conformsToCatalog } from './catalog/index.js';

conformsToCatalog('the catalog in PostgreSQL', async () => {
  const { url, drop } = await makeDatabase();
  return { catalog: await postgresCatalog(url), another: () => postgresCatalog(url), remove: drop };
});
