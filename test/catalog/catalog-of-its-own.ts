import { after, before, beforeEach } from 'node:test';
import type { Catalog } from '../../platform/catalog/index.js';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { OwnPostgres } from './own-postgres.js';

/**
 * Called in a `describe`: its tests have a server and a catalog of their own, and each of them a service that no other
 * one uses. Handed over before each test.
 */
export function withCatalog(name: string, hand: (catalog: Catalog, service: string) => void): void {
  let server: OwnPostgres;
  let catalog: Catalog;
  let services = 0;
  before(async () => {
    server = await OwnPostgres.start();
    catalog = await postgresCatalog(await server.database(name));
  });
  after(async () => {
    await catalog?.close();
    await server?.close();
  });
  beforeEach(() => hand(catalog, `iris-${(services += 1)}`));
}
