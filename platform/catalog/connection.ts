import pg from 'pg';
import { messageOf, SlipwayError } from '../../contract/errors.js';

/** Runs one statement; `$1` stands for the first value. Answers its rows. */
export type Query = <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => Promise<Row[]>;

/** Connections to the catalog's database. Losing one fails the calls on it; the next call connects anew. */
export type Database = {
  query: Query;
  /** Runs `work` in one transaction: what it throws takes everything back. */
  transaction: <T>(work: (query: Query) => Promise<T>) => Promise<T>;
  close(): Promise<void>;
};

/** Everything is kept in a schema of its own: a team may share one database. */
export const schema = 'slipway';

/** Options of every connection, in milliseconds. */
export function clientOptions(url: string): pg.ClientConfig {
  const types = new pg.TypeOverrides();
  // Tokens and versions are counted up one by one: they stay far below 2^53.
  types.setTypeParser(pg.types.builtins.INT8, Number);
  return {
    connectionString: url,
    application_name: 'slipway',
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    types,
    statement_timeout: 20_000,
    // The server's own limit does not help when the server hangs.
    query_timeout: 25_000,
    // A process that is stopped in the middle of a transaction must not keep a service locked.
    idle_in_transaction_session_timeout: 10_000,
    options: `-c search_path=${schema}`,
  };
}

/** Opens connections as they are needed, `max` at most. */
export function openDatabase(url: string, max = 10): Database {
  const pool = new pg.Pool({ ...clientOptions(url), max, idleTimeoutMillis: 60_000 });
  // A lost connection fails its statement, or the next one on it, and the pool drops it; when it was idle nobody
  // was waiting. Without these two the event itself would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return {
    query: (text, values) => asked(async () => (await pool.query(text, values)).rows),
    transaction: (work) => asked(() => inTransaction(pool, work)),
    close: () => pool.end(),
  };
}

async function inTransaction<T>(pool: pg.Pool, work: (query: Query) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let lost: Error | undefined;
  try {
    await client.query('begin isolation level read committed');
    const result = await work(async (text, values) => (await client.query(text, values)).rows);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((failure: Error) => (lost = failure));
    throw error;
  } finally {
    client.release(lost ?? false);
  }
}

async function asked<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof SlipwayError) throw cause;
    throw new Error(`asking the catalog: ${messageOf(cause)}`, { cause });
  }
}
