import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { messageOf } from '../../contract/errors.js';
import type { Catalog } from '../../platform/catalog/index.js';
import type { TrafficCounts } from './traffic-counts.js';

/** Time between two reports, in milliseconds. */
const interval = 1_000;
/** Longest an end waits for the last report. */
const stopBudget = 2_000;

export type ReporterOptions = {
  /** The catalog, once it can be reached. */
  catalog: () => Promise<Catalog>;
  counts: TrafficCounts;
  /** Name of the gateway; a run of it counts from zero, under a name of its own. */
  id: string;
  logger: Logger;
};

/** Tells the catalog what the gateway has counted, beside the requests and never in their way. */
export class TrafficReporter {
  private readonly run: string;
  private readonly ending = new AbortController();
  private loop: Promise<void> | null = null;
  private failing = false;

  constructor(private readonly options: ReporterOptions) {
    this.run = `${options.id} ${randomUUID()}`;
  }

  start(): void {
    this.loop = this.work();
  }

  /** Ends with a last report, if the catalog takes it soon. */
  async stop(): Promise<void> {
    this.ending.abort();
    await Promise.race([this.loop?.then(() => this.report()), delay(stopBudget, undefined, { ref: false })]);
  }

  private async work(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      await delay(interval, undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) await this.report();
    }
  }

  private async report(): Promise<void> {
    const { catalog, counts, logger } = this.options;
    const changed = counts.takeChanged();
    if (changed.length === 0) return;
    try {
      await (await catalog()).reportTraffic(this.run, changed);
      this.failing = false;
    } catch (error) {
      // Totals: the next report that arrives makes up for this one.
      counts.giveBack(changed);
      // Once for each outage, not once for each attempt.
      if (!this.failing) logger.warn(`reporting figures: ${messageOf(error)}; they are kept`);
      this.failing = true;
    }
  }
}
