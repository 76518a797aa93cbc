import type { Grant } from '../../contract/pipeline.js';
import type { AuditEntry } from '../../contract/service.js';
import { noTraffic, type TrafficFigures } from '../../contract/traffic.js';
import type { Catalog } from '../../platform/catalog/index.js';

type Counts = Parameters<Catalog['reportTraffic']>[1];

/** What the catalog in memory notes of gateways, their traffic, and of what people and deployments did. */
export abstract class MemoryRecords {
  private readonly gateways = new Map<string, { version: number; heard: number }>();
  private readonly counted = new Map<string, Counts[number]>();
  private readonly told: (AuditEntry & { service: string | null })[] = [];
  private readonly listeners = new Set<{ callback: () => void }>();

  /** `now` is the catalog's clock, in milliseconds. */
  constructor(protected readonly now: () => number = Date.now) {}

  /** Throws `Conflict` unless nothing ended the grant. */
  protected abstract fence(grant: Grant): void;

  async reportTraffic(gateway: string, counts: Counts): Promise<void> {
    for (const count of counts) {
      const key = JSON.stringify([gateway, count.service, count.release]);
      // Overtaken, or repeated.
      if ((this.counted.get(key)?.figures.requests ?? -1) >= count.figures.requests) continue;
      this.counted.set(key, copyOf(count));
    }
  }

  async trafficOf(service: string, release: string): Promise<TrafficFigures> {
    return [...this.counted.values()]
      .filter((count) => count.service === service && count.release === release)
      .reduce(
        (sum, { figures }) => ({
          requests: sum.requests + figures.requests,
          failures: sum.failures + figures.failures,
          latency: sum.latency.map((count, i) => count + (figures.latency[i] ?? 0)),
        }),
        noTraffic(),
      );
  }

  async onRoutesChanged(callback: () => void): Promise<() => Promise<void>> {
    const listener = { callback };
    this.listeners.add(listener);
    this.tell(listener);
    return async () => void this.listeners.delete(listener);
  }

  async acknowledge(gateway: string, version: number): Promise<void> {
    this.gateways.set(gateway, { version, heard: this.now() });
  }

  async forgetGateway(gateway: string): Promise<void> {
    this.gateways.delete(gateway);
  }

  async livingGateways(): Promise<{ id: string; version: number }[]> {
    return [...this.gateways]
      .filter(([, { heard }]) => heard > this.now() - 15_000)
      .map(([id, { version }]) => ({ id, version }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async audit({ service, actor, action, details = {} }: Parameters<Catalog['audit']>[0]): Promise<void> {
    this.told.push(copyOf({ service, at: new Date(this.now()).toISOString(), actor, action, details }));
  }

  async auditOnce(grant: Grant, event: Parameters<Catalog['auditOnce']>[1]): Promise<void> {
    this.fence(grant);
    const { service, deployment } = grant;
    const same = (entry: object): string => {
      const { actor, action, details } = entry as AuditEntry;
      return JSON.stringify([actor, action, details]);
    };
    const told = { service, actor: deployment.workflowId, ...event };
    if (this.told.some((entry) => entry.service === service && same(entry) === same(told))) return;
    await this.audit(told);
  }

  async auditOf(service: string, limit: number): Promise<AuditEntry[]> {
    const entries = this.told.filter((entry) => entry.service === service).toReversed();
    return entries.slice(0, limit).map(({ service: _, ...entry }) => copyOf(entry));
  }

  async close(): Promise<void> {
    this.listeners.clear();
  }

  protected tellOfRoutes(): void {
    for (const listener of this.listeners) this.tell(listener);
  }

  /** Not within the call that changed the route. */
  private tell(listener: { callback: () => void }): void {
    setImmediate(() => this.listeners.has(listener) && listener.callback());
  }
}

/** As a database has it: what was given and what is answered are not the same objects. */
export const copyOf = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
