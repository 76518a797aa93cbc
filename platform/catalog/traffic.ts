import { noTraffic, type TrafficFigures } from '../../contract/traffic.js';
import type { Database } from './connection.js';

/** Releases that served in the last days may still be asked for; the figures of older ones go. */
const memory = '7 days';

/** What gateways have counted. */
export const traffic = ({ query }: Database) => ({
  async reportTraffic(
    gateway: string,
    counts: { service: string; release: string; figures: TrafficFigures }[],
  ): Promise<void> {
    for (const { service, release, figures } of counts)
      await query(
        `insert into traffic (service, release, gateway, requests, failures, latency)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (service, release, gateway) do update set
           requests = excluded.requests, failures = excluded.failures, latency = excluded.latency,
           reported_at = now()`,
        [service, release, gateway, figures.requests, figures.failures, figures.latency],
      );
    if (counts.length > 0)
      await query(`delete from traffic where reported_at < now() - interval '${memory}'`);
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
