import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { RouteTable } from './route-table.js';

/** Series of a release that serves no more stay so long, so that what came last is still read, in milliseconds. */
const memory = 600_000;

/** What the gateway counts, in Prometheus' text form. */
export class GatewayMetrics {
  private readonly registry = new Registry();
  private readonly requests = new Counter({
    name: 'slipway_gateway_requests_total',
    help: 'Predictions answered, by service, release and status; 499: the client left first',
    labelNames: ['service', 'release', 'status'],
    registers: [this.registry],
  });
  private readonly seconds = new Histogram({
    name: 'slipway_gateway_request_seconds',
    help: 'Time from a request to the end of its answer',
    labelNames: ['service', 'release'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers: [this.registry],
  });
  private readonly refused = new Counter({
    name: 'slipway_gateway_refused_connections_total',
    help: 'Connections that a replica refused, so that the request was tried again',
    registers: [this.registry],
  });
  /** Releases with series, and when each was last seen in a route. */
  private readonly seen = new Map<
    string,
    { service: string; release: string; at: number; statuses: Set<number> }
  >();

  readonly contentType = this.registry.contentType;

  constructor(private readonly table: RouteTable) {
    new Gauge({
      name: 'slipway_gateway_route_version',
      help: 'Version of the routes served',
      registers: [this.registry],
      collect() {
        this.set(table.version ?? 0);
      },
    });
  }

  /** `asked`: null when the request never came so far as to a release. */
  answered(asked: string, to: string | null, status: number, milliseconds: number): void {
    // Names that nobody serves do not get a time series each.
    const service = this.table.find(asked) ? asked : 'unknown';
    const release = service === 'unknown' || to === null ? '' : to;
    this.requests.inc({ service, release, status });
    this.seconds.observe({ service, release }, milliseconds / 1000);
    if (release) this.remember(service, release, status);
  }

  connectionRefused(): void {
    this.refused.inc();
  }

  text(): Promise<string> {
    this.forget();
    return this.registry.metrics();
  }

  private remember(service: string, release: string, status: number): void {
    const known = this.seen.get(release);
    if (known) known.statuses.add(status);
    else this.seen.set(release, { service, release, at: performance.now(), statuses: new Set([status]) });
    if (!known) this.forget();
  }

  /** Drops the series of releases that have been in no route for a while: else each deployment would leave some. */
  private forget(): void {
    const now = performance.now();
    for (const one of this.seen.values()) {
      const { service, release, statuses } = one;
      if (this.table.names(service, release)) one.at = now;
      if (now - one.at < memory) continue;
      for (const status of statuses) this.requests.remove({ service, release, status });
      this.seconds.remove({ service, release });
      this.seen.delete(release);
    }
  }
}
