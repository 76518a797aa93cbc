import { randomBytes } from 'node:crypto';
import pg from 'pg';

// A test file that imports this gets a PostgreSQL that it shares with others: database-server.ts.

/** Names the address of the run's PostgreSQL, as its superuser. */
export const addressVariable = 'SLIPWAY_TEST_POSTGRES';
/** The database in it that has Slipway's schema, and that nobody connects to. */
export const template = 'slipway_template';

/** A database of a test's own. */
export type TestDatabase = {
  url: string;
  /** Also while somebody is connected to it. */
  drop: () => Promise<void>;
};

/** Makes a database with Slipway's schema in it, or with nothing, in some 100 ms. */
export async function makeDatabase({ empty = false } = {}): Promise<TestDatabase> {
  const address = process.env[addressVariable];
  if (!address)
    throw new Error(
      `making a database for a test: no PostgreSQL was started for this run (${addressVariable} is not set)`,
    );
  const name = `test_${randomBytes(6).toString('hex')}`;
  const within = async (statement: string): Promise<void> => {
    const client = new pg.Client(address);
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  await within(`create database ${name} template ${empty ? 'template0' : template}`);
  return {
    url: Object.assign(new URL(address), { pathname: name }).href,
    drop: () => within(`drop database if exists ${name} with (force)`),
  };
}
