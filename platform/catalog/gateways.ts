import type { Database } from './connection.js';

/** Gateways and the route version each serves. Only the database's clock counts: theirs may differ. */
export const gateways = ({ query }: Database) => ({
  async acknowledge(gateway: string, version: number): Promise<void> {
    await query(
      `insert into gateways (id, version, heard_at) values ($1, $2, clock_timestamp())
       on conflict (id) do update set version = excluded.version, heard_at = excluded.heard_at`,
      [gateway, version],
    );
  },

  async forgetGateway(gateway: string): Promise<void> {
    await query('delete from gateways where id = $1', [gateway]);
  },

  livingGateways: (): Promise<{ id: string; version: number }[]> =>
    query(`select id, version from gateways where heard_at > now() - interval '15 seconds' order by id`),
});
