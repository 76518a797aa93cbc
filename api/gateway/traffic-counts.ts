import { latencyBounds, noTraffic, type TrafficFigures } from '../../contract/traffic.js';

export type Count = { service: string; release: string; figures: TrafficFigures };

/**
 * What this run of the gateway has counted, by service and release. Nothing is forgotten while it runs, also not of
 * releases that serve no more (half a kilobyte each): what is reported is a total, and totals only grow.
 */
export class TrafficCounts {
  private readonly counts = new Map<string, Count>();
  private changed = new Set<Count>();

  /** Counts one request for a release; `failed`: answered 5xx by the replica, or not answered. */
  add(service: string, release: string, failed: boolean, milliseconds: number): void {
    const key = `${service} ${release}`;
    let count = this.counts.get(key);
    if (!count) this.counts.set(key, (count = { service, release, figures: noTraffic() }));
    const { figures } = count;
    figures.requests += 1;
    if (failed) figures.failures += 1;
    const bucket = latencyBounds.findIndex((bound) => milliseconds <= bound);
    figures.latency[bucket < 0 ? latencyBounds.length : bucket]! += 1;
    this.changed.add(count);
  }

  /** What has changed since this was last asked. */
  takeChanged(): Count[] {
    const taken = [...this.changed];
    this.changed = new Set();
    return taken;
  }

  /** Says that these could not be told to anybody: they count as changed again. */
  giveBack(counts: Count[]): void {
    for (const count of counts) this.changed.add(count);
  }
}
