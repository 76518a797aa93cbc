import type { JournalEntry } from '../contract/journal.js';
import type { Grant, Replica, Route } from '../contract/pipeline.js';
import type { Strategy } from '../contract/strategy.js';
import type { TrafficFigures } from '../contract/traffic.js';
import { liveReplicas } from '../platform/live.js';
import { targetOf, type Platform } from '../platform/open.js';
import type { Takeover, Target } from '../platform/targets/index.js';
import { attend, type Watch } from './attend.js';
import { completeOrTakeBack } from './journal.js';
import { replicaSet, type Candidate } from './rollout.js';
import { untilAcknowledged } from './route.js';

/** What gateways had counted when a canary step began. */
export type Baseline = {
  live: { release: string; figures: TrafficFigures };
  canary: { release: string; figures: TrafficFigures };
};

type Arguments = [grant: Grant, candidate: Candidate, replicas: Replica[], strategy: Strategy];

/** Takeover: verified replicas get the traffic of the live ones, the way the strategy says. */
export const takeoverActivities = (platform: Platform) => ({
  /** Rolling: old replicas make way for new ones, the gateways' traffic following their numbers. */
  roll: (...args: Arguments): Promise<void> =>
    attend(async (watch) => {
      const { target, takeover, route } = await openTakeover(platform, args, watch);
      await target.roll(takeover, watch, (percent) => weigh(platform, takeover, route, percent, watch));
    }),

  /** Canary: this percent of the requests, once every gateway follows, and what had been counted by then. */
  share: (grant: Grant, candidate: Candidate, replicas: Replica[], strategy: Strategy, weight: number) =>
    attend(async (watch): Promise<Baseline> => {
      const { target, takeover, route } = await openTakeover(
        platform,
        [grant, candidate, replicas, strategy],
        watch,
      );
      await target.share(takeover, weight, watch);
      await weigh(platform, takeover, route, weight, watch);
      const figures = async (release: string) => ({
        release,
        figures: await platform.catalog.trafficOf(grant.service, release),
      });
      return { live: await figures(route?.release ?? candidate.id), canary: await figures(candidate.id) };
    }),

  /**
   * All replicas, and all of the target's own traffic; the gateways' follows with `shift`. Answers what somebody else had
   * changed meanwhile, for people.
   */
  promote: (...args: Arguments): Promise<string[]> =>
    attend(async (watch) => {
      const { target, takeover, entry, route } = await openTakeover(platform, args, watch);
      const notes = await target.promote(takeover, watch, (percent) =>
        weigh(platform, takeover, route, percent, watch),
      );
      if (entry)
        await completeOrTakeBack(platform.catalog, takeover.set.grant, entry, async () => {
          await target.restore(takeover.set.grant, before(entry), watch);
        });
      return notes;
    }),
});

/** Writes down what undo needs, before anything of the traffic changes. A retry finds what the first attempt wrote. */
async function openTakeover(
  platform: Platform,
  [grant, candidate, replicas, strategy]: Arguments,
  watch: Watch,
): Promise<{ target: Target; takeover: Takeover; entry: JournalEntry | null; route: Route | null }> {
  const { catalog } = platform;
  const target = targetOf(platform, candidate.target);
  const now = await catalog.getRoute(grant.service);
  const { effect } = await catalog.recordEffect(grant, {
    kind: 'route',
    key: 'route',
    release: candidate.id,
    previous: now,
  });
  const route = effect.kind === 'route' ? effect.previous : now;
  const live = await liveReplicas(platform, grant.service, candidate);
  const takeover: Takeover = { set: replicaSet(grant, candidate, 'serve'), replicas, strategy, live };
  const state = await target.traffic(takeover, watch);
  if (state === null) return { target, takeover, entry: null, route };
  const node = replicas[0]?.node ?? '';
  const entry = await catalog.recordEffect(grant, {
    kind: 'traffic',
    key: 'traffic',
    target: target.kind,
    node,
    release: candidate.id,
    before: state,
  });
  return { target, takeover, entry, route };
}

const before = ({ effect }: JournalEntry): unknown => (effect.kind === 'traffic' ? effect.before : null);

/** Lets gateways send this percent of the requests to the new replicas; returns when every living one does. */
async function weigh(
  { catalog }: Platform,
  { set, replicas }: Takeover,
  route: Route | null,
  weight: number,
  watch: Watch,
): Promise<void> {
  // Without a route there is nothing to divide: a first release gets all with the shift. Live replicas may be elsewhere.
  if (route === null) return;
  const { version } = await catalog.weigh(set.grant, { release: set.release, replicas, weight });
  await untilAcknowledged(catalog, version, watch);
}
