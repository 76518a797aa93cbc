import type { V1Deployment, V1Service } from '@kubernetes/client-node';
import { SlipwayError } from '../../../contract/errors.js';
import type { Replica } from '../../../contract/pipeline.js';
import type { PlannedReplica, ReplicaSet, Takeover, Watch } from '../index.js';
import { urlOf } from './objects/address.js';
import { adopt, apply, assertOurs, create, nameOf, read } from './apiserver/apply.js';
import type { Cluster, ImageFacts } from './cluster.js';
import { labels } from './objects/labels.js';
import { makeRoom } from './takeover/roll.js';
import { ensureShared } from './objects/shared.js';
import { deployment, replicasToBegin, service } from './objects/workload.js';

/**
 * Makes a release's Deployment and the Service in front of it, or finds them; everything is tried before anything is
 * changed. Safe to repeat and to race with itself: the Deployment is made once, and what has become of its number of
 * replicas since is left alone. What the apiserver was asked to make arrives also when nobody waits for it any more: so
 * that is seen through when cancelled, or the undo would look too early. Throws `Conflict` for objects of the same name
 * that are not this installation's, `NotFound` without the namespace, `RolloutFailed` when the cluster refuses for good.
 */
export async function startWorkload(
  cluster: Cluster,
  set: ReplicaSet,
  { node, name }: PlannedReplica,
  { onProgress, signal }: Watch,
  takeover?: Pick<Takeover, 'strategy' | 'live'>,
): Promise<Replica> {
  onProgress({ message: `starting ${name} in namespace ${node}` });
  const wanted = {
    deployment: deployment(
      cluster,
      set,
      replicasToBegin(cluster, set, takeover),
      await factsOf(cluster, set, signal),
      takeover?.live,
    ),
    service: service(cluster, set),
  };
  const [existing, front] = await Promise.all([
    read<V1Deployment>(cluster, wanted.deployment, signal),
    read<V1Service>(cluster, wanted.service, signal),
  ]);
  for (const object of [existing, front]) assertOurs(cluster, object);
  if (existing === null) {
    // Another attempt may be making them this very moment: that is no conflict.
    for (const object of [wanted.deployment, wanted.service])
      await apply(cluster, object, { signal, dryRun: true, force: true });
    if (takeover) await makeRoom(cluster, { set, ...takeover }, { onProgress, signal });
    await ensureShared(cluster, node, signal);
    signal.throwIfAborted();
    const made = await create(cluster, wanted.deployment);
    if (made === null)
      return await startWorkload(cluster, set, { node, name, ordinal: 0 }, { onProgress, signal }, takeover);
  } else await adoptSame(cluster, wanted.deployment, existing, signal);
  // Again after the Deployment: whoever removes the last other one counts anew once it is there.
  await ensureShared(cluster, node, signal);
  signal.throwIfAborted();
  const applied = await apply(cluster, wanted.service);
  const url = await urlOf(cluster, applied, signal);
  if (url === null) throw new Error(`${nameOf(applied)} has no port on nodes yet`);
  return { node, name, url };
}

/** The image's own words; nothing when the registry is away: nodes may hold the image, and refuse to run it as root. */
export async function factsOf(
  { inspect }: Cluster,
  { image }: ReplicaSet,
  signal: AbortSignal,
): Promise<ImageFacts | null> {
  try {
    return (await inspect?.(image, signal)) ?? null;
  } catch {
    signal.throwIfAborted();
    return null;
  }
}

/** An earlier attempt of the same deployment made it, and may have been interrupted just after. */
async function adoptSame(
  cluster: Cluster,
  wanted: V1Deployment,
  existing: V1Deployment,
  signal: AbortSignal,
): Promise<void> {
  if (existing.metadata?.deletionTimestamp) throw new Error(`${nameOf(existing)} is being removed`);
  const image = (object: V1Deployment) => object.spec?.template.spec?.containers[0]?.image;
  const token = existing.metadata?.labels?.[labels.token];
  if (token !== wanted.metadata?.labels?.[labels.token] || image(existing) !== image(wanted))
    throw new SlipwayError(
      'Conflict',
      `${nameOf(existing)} runs ${image(existing)} instead of ${image(wanted)}: somebody has changed it`,
      { name: existing.metadata?.name, namespace: existing.metadata?.namespace },
    );
  await adopt(cluster, existing, signal);
}
