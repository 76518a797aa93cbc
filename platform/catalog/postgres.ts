import { audit } from './audit.js';
import { openDatabase } from './connection.js';
import { gateways } from './gateways.js';
import { grants } from './grants.js';
import type { Catalog } from './index.js';
import { journal } from './journal.js';
import { listen } from './listen.js';
import { migrate } from './migrations.js';
import { releases } from './releases.js';
import { routes, routesChannel } from './routes.js';
import { services } from './services.js';
import { shifts } from './shift.js';
import { traffic } from './traffic.js';

/**
 * Opens the catalog in a PostgreSQL database, bringing its schema up to date. Throws when it cannot connect;
 * once open it outlives the server's restarts: calls fail while it is away, and work when it is back.
 */
export async function postgresCatalog(url: string): Promise<Catalog> {
  const database = openDatabase(url);
  try {
    await migrate(database);
  } catch (error) {
    await database.close();
    throw error;
  }
  const listeners = new Set<() => Promise<void>>();
  return {
    ...grants(database),
    ...services(database),
    ...journal(database),
    ...releases(database),
    ...routes(database),
    ...shifts(database),
    ...gateways(database),
    ...traffic(database),
    ...audit(database),
    async onRoutesChanged(callback) {
      const unlisten = listen(url, routesChannel, callback);
      listeners.add(unlisten);
      return async () => {
        listeners.delete(unlisten);
        await unlisten();
      };
    },
    async close() {
      await Promise.all([...listeners].map((unlisten) => unlisten()));
      await database.close();
    },
  };
}
