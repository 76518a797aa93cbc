import { milliseconds } from '../../contract/quantities.js';
import type { Analysis } from '../../contract/strategy.js';
import { latencyAt, type TrafficFigures } from '../../contract/traffic.js';
import { duration, percent, type Measurement } from './measurement.js';

/** Success rate and latency of the requests that came in since a step began. Too few of them are no measurement. */
export function judgeTraffic(
  { successRate, latency, minRequests }: Analysis,
  figures: TrafficFigures,
): Measurement[] {
  const few =
    figures.requests < minRequests
      ? ({ verdict: 'missing', why: `${figures.requests} of ${minRequests} requests` } as const)
      : null;
  const rate = successOf(figures);
  const success: Measurement = {
    check: 'success rate',
    wanted: `at least ${percent(successRate)}`,
    ...(few ?? { verdict: rate >= successRate ? 'held' : 'failed', measured: percent(rate) }),
  };
  if (!latency) return [success];
  const { percentile, max } = latency;
  const measured = latencyAt(figures, percentile);
  const check = `latency p${percentile}`;
  const wanted = `at most ${max}`;
  if (few ?? measured === null)
    return [success, { check, wanted, ...(few ?? { verdict: 'missing', why: 'no latency was counted' }) }];
  const verdict = measured <= milliseconds(max) ? 'held' : 'failed';
  return [success, { check, wanted, verdict, measured: duration(measured) }];
}

/** For people: `120 requests, 99.1 % ok, p95 12 ms`. */
export function describeTraffic({ latency }: Analysis, figures: TrafficFigures): string {
  if (figures.requests === 0) return 'no requests';
  const percentile = latency?.percentile ?? 95;
  const measured = latencyAt(figures, percentile);
  return [
    `${figures.requests} ${figures.requests === 1 ? 'request' : 'requests'}`,
    `${percent(successOf(figures))} ok`,
    ...(measured === null ? [] : [`p${percentile} ${duration(measured)}`]),
  ].join(', ');
}

const successOf = ({ requests, failures }: TrafficFigures): number => 1 - failures / Math.max(1, requests);
