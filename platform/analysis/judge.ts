import type { Sample } from '../../contract/deploy.js';
import { messageOf } from '../../contract/errors.js';
import type { Replica } from '../../contract/pipeline.js';
import type { Analysis } from '../../contract/strategy.js';
import { trafficSince, type TrafficFigures } from '../../contract/traffic.js';
import type { Catalog } from '../catalog/index.js';
import type { Platform } from '../open.js';
import { judgeDifference } from './difference.js';
import type { Measurement } from './measurement.js';
import { judgeQueries } from './prometheus.js';
import { describeTraffic, judgeTraffic } from './traffic.js';

/** What measurements are read from: what gateways counted, and what Prometheus answers. */
type Sources = Pick<Platform, 'catalog' | 'guarded'>;
/** What gateways had counted of a release when a step began. */
type Counted = { release: string; figures: TrafficFigures };

export type Subject = {
  service: string;
  replicas: Replica[];
  samples: Sample[];
  baseline: { live: Counted; canary: Counted };
};

/** One look at everything that is to be judged. */
export type Look = {
  measurements: Measurement[];
  summary: string;
};

/** Asking replicas for predictions, or a Prometheus, costs them something: not more often than this, in milliseconds. */
const sparing = { measured: 10_000, missing: 2_000 };

/**
 * Looks at a canary again and again. What cannot be read is a missing measurement, never a change. From the first look
 * that says that the step is `over` on, nothing from before its end counts.
 */
export function openJudge(
  { catalog, guarded }: Sources,
  analysis: Analysis,
  subject: Subject,
): (over: boolean, signal: AbortSignal) => Promise<Look> {
  let others: Measurement[] = [];
  let measureAt = -Infinity;
  let wasOver = false;
  return async (over, signal) => {
    const traffic = await lookAtTraffic(catalog, analysis, subject);
    if (over !== wasOver || performance.now() >= measureAt) {
      others = await lookAtOthers({ catalog, guarded }, analysis, subject, signal);
      const missing = others.some(({ verdict }) => verdict === 'missing');
      measureAt = performance.now() + (missing ? sparing.missing : sparing.measured);
      wasOver = over;
    }
    signal.throwIfAborted();
    const unmeasured = others.filter(({ verdict }) => verdict === 'missing').map(({ check }) => check);
    return {
      measurements: [...traffic.measurements, ...others],
      summary: [traffic.summary, ...unmeasured.map((check) => `${check} not measured yet`)].join(', '),
    };
  };
}

async function lookAtTraffic(catalog: Catalog, analysis: Analysis, subject: Subject): Promise<Look> {
  const { service, baseline } = subject;
  const since = async ({ release, figures }: Counted): Promise<TrafficFigures> =>
    trafficSince(await catalog.trafficOf(service, release), figures);
  try {
    const [canary, live] = await Promise.all([since(baseline.canary), since(baseline.live)]);
    return {
      measurements: judgeTraffic(analysis, canary),
      summary: `${describeTraffic(analysis, canary)} (live: ${describeTraffic(analysis, live)})`,
    };
  } catch (error) {
    const why = messageOf(error);
    return {
      measurements: [{ check: 'success rate', wanted: 'a measurement', verdict: 'missing', why }],
      summary: why,
    };
  }
}

async function lookAtOthers(
  { catalog, guarded }: Sources,
  { difference, prometheus }: Analysis,
  { service, replicas, samples, baseline }: Subject,
  signal: AbortSignal,
): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  if (difference !== undefined) {
    const urls = { canary: replicas[0]?.url, live: await urlOfLive(catalog, service) };
    measurements.push(await judgeDifference(difference, samples, urls, signal));
  }
  if (prometheus) {
    const names = { service, release: baseline.canary.release, live: baseline.live.release };
    measurements.push(...(await judgeQueries(prometheus, names, guarded, signal)));
  }
  return measurements;
}

/** A catalog that is away leaves the live release unknown, and the difference unmeasured. */
async function urlOfLive(catalog: Catalog, service: string): Promise<string | undefined> {
  const route = await catalog.getRoute(service).catch(() => null);
  return route?.replicas[0]?.url;
}
