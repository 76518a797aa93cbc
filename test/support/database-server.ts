import pg from 'pg';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { addressVariable, template } from './database.js';
import { OwnPostgres } from './own-postgres.js';
import { runServer } from './run-server.js';

// The PostgreSQL that test files of one run share, each with databases of its own: see database.ts.
await runServer(async () => {
  // Nobody needs what it holds once it is gone.
  const settings = { max_connections: '600', fsync: 'off', full_page_writes: 'off' };
  const server = await OwnPostgres.start(settings);
  try {
    await makeTemplate(server);
  } catch (error) {
    await server.close();
    throw error;
  }
  return { env: { [addressVariable]: server.url('postgres') }, close: () => server.close() };
});

/** A database with Slipway's schema, to be copied. */
async function makeTemplate(server: OwnPostgres): Promise<void> {
  const catalog = await postgresCatalog(await server.database(template));
  await catalog.close();
  // What somebody is connected to cannot be copied.
  const client = new pg.Client(server.url('postgres'));
  await client.connect();
  await client.query(`alter database ${template} with allow_connections false`);
  await client.end();
}
