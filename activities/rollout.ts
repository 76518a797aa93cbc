import type { Grant, Release, Replica } from '../contract/pipeline.js';
import type { Platform } from '../platform/open.js';
import type { PlannedReplica, ReplicaSet, Target } from '../platform/targets/index.js';
import { attend, type Watch } from './attend.js';
import { perform } from './journal.js';

/** What is rolled out: a release to be. */
export type Candidate = Pick<Release, 'id' | 'model' | 'image' | 'spec' | 'target'>;

/** Rollout: the new replicas start beside the old ones, without traffic, until each answers ready. */
export const rolloutActivities = (platform: Platform) => ({
  rollout: (grant: Grant, candidate: Candidate): Promise<{ replicas: Replica[]; detail: string }> =>
    attend(async (watch) => {
      const set = replicaSet(grant, candidate, 'serve');
      const replicas = await startAll(platform, set, watch);
      return { replicas, detail: `${replicas.length} of ${replicas.length} ready` };
    }),
});

export function replicaSet(grant: Grant, candidate: Candidate, role: ReplicaSet['role']): ReplicaSet {
  const { id, model, image, spec } = candidate;
  return { grant, release: id, model, image, spec, role };
}

/** Pulls, starts and awaits every replica of a set, each in the journal first. */
export async function startAll(platform: Platform, set: ReplicaSet, watch: Watch): Promise<Replica[]> {
  const target = platform.targets.docker;
  await target.pull(set, watch);
  const replicas: Replica[] = [];
  for (const planned of target.place(set))
    replicas.push(await startOne(platform, target, set, planned, watch));
  await target.awaitReady(set, replicas, watch);
  return replicas;
}

async function startOne(
  { catalog }: Platform,
  target: Target,
  set: ReplicaSet,
  planned: PlannedReplica,
  watch: Watch,
): Promise<Replica> {
  const { node, name } = planned;
  return await perform(
    catalog,
    set.grant,
    { kind: 'replica', key: `replica:${node}/${name}`, node, name },
    () => target.start(set, planned, watch),
    () => target.remove(planned, 0),
  );
}
