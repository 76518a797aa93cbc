import { z } from 'zod';

/** Upper bounds of the latency buckets in milliseconds, each a fifth above the one before: 1 ms to about 68 s. */
export const latencyBounds: readonly number[] = Array.from({ length: 62 }, (_, i) => 1.2 ** i);

/** What gateways have counted of one release, since they began. */
export const TrafficFigures = z.object({
  requests: z.number().int(),
  /** Answered 5xx by the replica, or not answered. */
  failures: z.number().int(),
  /** Requests by latency: one count for each of {@link latencyBounds}, and one for all above. */
  latency: z.array(z.number().int()),
});
export type TrafficFigures = z.infer<typeof TrafficFigures>;

export const noTraffic = (): TrafficFigures => ({
  requests: 0,
  failures: 0,
  latency: latencyBounds.map(() => 0).concat(0),
});

/** What came in between two readings of the same release. */
export function trafficSince(later: TrafficFigures, earlier: TrafficFigures): TrafficFigures {
  return {
    requests: later.requests - earlier.requests,
    failures: later.failures - earlier.failures,
    latency: later.latency.map((count, i) => count - (earlier.latency[i] ?? 0)),
  };
}

/** Latency in milliseconds that `percentile` percent of the requests kept within; null without any. */
export function latencyAt({ latency }: TrafficFigures, percentile: number): number | null {
  const total = latency.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let below = 0;
  for (const [i, count] of latency.entries()) {
    below += count;
    if (below >= (total * percentile) / 100) return latencyBounds[i] ?? Infinity;
  }
  return Infinity;
}
