import { noTraffic, type TrafficFigures } from '../../contract/traffic.js';
import type { Database, Query } from './connection.js';

/** What gateways have counted. */
export const traffic = ({ query }: Database) => ({
  async reportTraffic(
    gateway: string,
    counts: { service: string; release: string; figures: TrafficFigures }[],
  ): Promise<void> {
    const rows = counts.map(({ service, release, figures }) => ({ service, release, ...figures }));
    // Totals of one run only grow: a report that was overtaken, or repeated, changes nothing.
    const reported = await query<{ added: boolean }>(
      `insert into traffic (service, release, gateway, requests, failures, latency)
       select service, release, $1, requests, failures, latency from json_to_recordset($2)
         as r (service text, release text, requests bigint, failures bigint, latency bigint[])
       on conflict (service, release, gateway) do update set
         requests = excluded.requests, failures = excluded.failures, latency = excluded.latency,
         reported_at = now()
         where traffic.requests < excluded.requests
       returning xmax = 0 as added`,
      [gateway, JSON.stringify(rows)],
    );
    if (reported.some(({ added }) => added)) await forget(query);
  },

  async trafficOf(service: string, release: string): Promise<TrafficFigures> {
    const rows = await query<{ requests: number; failures: number; latency: (number | string)[] }>(
      'select requests, failures, latency from traffic where service = $1 and release = $2',
      [service, release],
    );
    return rows.reduce<TrafficFigures>(
      (sum, row) => ({
        requests: sum.requests + row.requests,
        failures: sum.failures + row.failures,
        latency: sum.latency.map((count, i) => count + Number(row.latency[i] ?? 0)),
      }),
      noTraffic(),
    );
  },
});

/**
 * Drops the figures of releases that have had no request for a week and are in no route: nobody compares them any
 * more. Done when a row is added, which is when the table grows: once for each release and run of a gateway.
 */
async function forget(query: Query): Promise<void> {
  await query(
    `delete from traffic t
     where reported_at < now() - interval '7 days' and not exists (
       select from routes r where r.service = t.service and t.release in (r.release, r.canary ->> 'release')
     )`,
  );
}
