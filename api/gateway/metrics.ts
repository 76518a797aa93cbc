import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { RouteTable } from './route-table.js';

/** What the gateway counts, in Prometheus' text form. */
export class GatewayMetrics {
  private readonly registry = new Registry();
  private readonly requests = new Counter({
    name: 'slipway_gateway_requests_total',
    help: 'Predictions answered, by service and status; 499: the client left first',
    labelNames: ['service', 'status'],
    registers: [this.registry],
  });
  private readonly seconds = new Histogram({
    name: 'slipway_gateway_request_seconds',
    help: 'Time from a request to the end of its answer',
    labelNames: ['service'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers: [this.registry],
  });
  private readonly refused = new Counter({
    name: 'slipway_gateway_refused_connections_total',
    help: 'Connections that a replica refused, so that the request was tried again',
    registers: [this.registry],
  });

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

  answered(service: string, status: number, milliseconds: number): void {
    // Names that nobody serves do not get a time series each.
    const known = this.table.find(service) ? service : 'unknown';
    this.requests.inc({ service: known, status });
    this.seconds.observe({ service: known }, milliseconds / 1000);
  }

  connectionRefused(): void {
    this.refused.inc();
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }
}
