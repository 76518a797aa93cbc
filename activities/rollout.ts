import type { Grant, Release, Replica } from '../contract/pipeline.js';
import { replicasOf, type Strategy } from '../contract/strategy.js';
import { keptReplicas, liveReplicas } from '../platform/live.js';
import { targetOf, type Platform } from '../platform/open.js';
import { consentToPickle } from '../platform/pickle.js';
import type {
  PlannedReplica,
  ReplicaSet,
  PlannedTakeover,
  Takeover,
  Target,
} from '../platform/targets/index.js';
import { attend, type Watch } from './attend.js';
import { perform } from './journal.js';

/** What is rolled out: a release to be. */
export type Candidate = Pick<Release, 'id' | 'model' | 'image' | 'spec' | 'target' | 'repeats'>;

/** Rollout: the new replicas start beside the old ones, without traffic, until each answers ready. */
export const rolloutActivities = (platform: Platform) => ({
  rollout: (
    grant: Grant,
    candidate: Candidate,
    strategy: Strategy,
  ): Promise<{ replicas: Replica[]; detail: string }> =>
    attend(async (watch) => {
      const set = replicaSet(grant, candidate, 'serve');
      const target = targetOf(platform, candidate.target);
      const kept = await keptReplicas(platform, grant.service, candidate);
      if (kept) {
        await target.awaitReady(set, kept, watch);
        return { replicas: kept, detail: 'its replicas are still there' };
      }
      await consentToPickle(platform, grant, candidate);
      const live = await liveReplicas(platform, grant.service, candidate);
      await noteRoom(platform, target, { set, strategy, live }, watch);
      const { replicas, ready } = await startAll(platform, target, set, watch, { strategy, live });
      return { replicas, detail: readyOf(ready, set.spec.replicas) };
    }),
});

/**
 * Where no replica may be added, a live one makes way for the first new one, before anything is verified: written down
 * first, how many there were. Undone last, when the new one is gone and has left its room.
 */
async function noteRoom(
  { catalog }: Platform,
  target: Target,
  { set, strategy, live }: PlannedTakeover,
  watch: Watch,
): Promise<void> {
  if (strategy.kind !== 'rolling' || live.length === 0) return;
  if (replicasOf(strategy.maxSurge, set.spec.replicas, 'up') > 0) return;
  const replicas = target.place(set).map(({ node, name }) => ({ node, name, url: 'http://not-yet' }));
  const before = await target.traffic({ set, replicas, strategy, live }, watch);
  if (before === null) return;
  await perform(
    catalog,
    set.grant,
    {
      kind: 'traffic',
      key: 'room',
      target: target.kind,
      node: replicas[0]?.node ?? '',
      release: set.release,
      before,
    },
    () => Promise.resolve(),
    async () => void (await target.restore(set.grant, before, watch)),
  );
}

export function replicaSet(grant: Grant, candidate: Candidate, role: ReplicaSet['role']): ReplicaSet {
  const { id, model, image, spec } = candidate;
  return { grant, release: id, model, image, spec, role };
}

/** A roll or a canary begins with fewer than all. */
const readyOf = (ready: number, wanted: number): string =>
  `${ready} of ${Math.max(ready, wanted)} ready${ready < wanted ? ', the others come as it takes over' : ''}`;

/** Pulls, starts and awaits every replica of a set, each in the journal first. Answers how many processes are ready. */
export async function startAll(
  platform: Platform,
  target: Target,
  set: ReplicaSet,
  watch: Watch,
  takeover?: Pick<Takeover, 'strategy' | 'live'>,
): Promise<{ replicas: Replica[]; ready: number }> {
  await target.pull(set, watch);
  const replicas: Replica[] = [];
  for (const planned of target.place(set))
    replicas.push(await startOne(platform, target, set, planned, watch, takeover));
  const ready = await target.awaitReady(set, replicas, watch);
  return { replicas, ready };
}

async function startOne(
  { catalog }: Platform,
  target: Target,
  set: ReplicaSet,
  planned: PlannedReplica,
  watch: Watch,
  takeover?: Pick<Takeover, 'strategy' | 'live'>,
): Promise<Replica> {
  const { node, name } = planned;
  return await perform(
    catalog,
    set.grant,
    { kind: 'replica', key: `replica:${node}/${name}`, target: target.kind, node, name },
    () => target.start(set, planned, watch, takeover),
    () => target.remove(planned, 0),
  );
}
