import type { KubernetesObject, V1Deployment, V1Service } from '@kubernetes/client-node';
import { nameOf, read } from './apiserver/apply.js';
import { ask, askFor } from './apiserver/ask.js';
import type { Cluster } from './cluster.js';
import { KubernetesError } from './apiserver/errors.js';
import { lossOf } from './apiserver/namespace.js';
import { labels } from './objects/labels.js';
import { selector } from './apiserver/list.js';
import { Observer } from './apiserver/observer.js';
import { lag } from './objects/pod.js';
import { deploymentNamed, podsOf } from './apiserver/selections.js';
import { removeShared } from './objects/shared.js';

/** Milliseconds beyond what pods may take that a removal may take. */
const margin = 60_000;

type Place = { node: string; name: string };

/**
 * Removes a release's Deployment with its pods, which get `grace` ms for requests in flight, then its Service; returns
 * when all are gone. What is gone is fine; what is not this installation's is left alone. Answers, for people, that it
 * went with its namespace.
 */
export async function removeWorkload(
  cluster: Cluster,
  place: Place,
  grace: number,
  signal?: AbortSignal,
): Promise<string[]> {
  const wentAlong = async () => {
    const loss = await lossOf(cluster, place.node, signal);
    return loss === null ? null : [`${loss}, and with it deployment "${place.name}"`];
  };
  try {
    const found = await removeObjects(cluster, place, grace, signal);
    return found ? [] : ((await wentAlong()) ?? []);
  } catch (error) {
    // Roles that are bound in a namespace go with it, often before what they allow to remove.
    const notes = await wentAlong().catch(() => null);
    if (notes === null) throw error;
    return notes;
  }
}

/** Answers whether there was a Deployment. */
async function removeObjects(
  cluster: Cluster,
  { node: namespace, name }: Place,
  grace: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const refs = {
    deployment: { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace } },
    service: { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace } },
  };
  const deployment = await read<V1Deployment>(cluster, refs.deployment, signal);
  if (deployment && isOurs(cluster, deployment)) {
    await deleteExactly(cluster, deployment, signal);
    await hurry(cluster, deployment, grace, signal);
  }
  // Also when there is no Deployment any more: an attempt before this one may have waited for them.
  if (deployment === null || isOurs(cluster, deployment))
    await untilGone(
      cluster,
      { name, namespace, uid: deployment?.metadata?.uid },
      cluster.drain + margin,
      signal,
    );
  const service = await read<V1Service>(cluster, refs.service, signal);
  if (service && isOurs(cluster, service)) await deleteExactly(cluster, service, signal);
  await removeShared(cluster, namespace, signal);
  return deployment !== null;
}

const isOurs = ({ stack }: Cluster, { metadata }: KubernetesObject): boolean =>
  metadata?.labels?.[labels.stack] === stack;

/** Deletes this object, not one of the same name that was made meanwhile; in the foreground: its pods go first. */
async function deleteExactly(
  cluster: Cluster,
  object: KubernetesObject,
  signal?: AbortSignal,
): Promise<void> {
  const { uid } = object.metadata ?? {};
  const body = { ...(uid !== undefined && { preconditions: { uid } }) };
  try {
    await askFor(
      cluster,
      `removing ${nameOf(object)}`,
      () => cluster.objects.delete(object, undefined, undefined, undefined, undefined, 'Foreground', body),
      { signal },
    );
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.code !== 409) throw error;
  }
}

/** Pods were given the time that requests may take; those that are to end sooner are told so. */
async function hurry(
  cluster: Cluster,
  { metadata }: V1Deployment,
  grace: number,
  signal?: AbortSignal,
): Promise<void> {
  if (grace >= cluster.drain) return;
  const namespace = metadata?.namespace ?? '';
  const labelSelector = selector(cluster, { [labels.workload]: metadata?.name });
  const gracePeriodSeconds = lag + Math.max(1, Math.ceil(grace / 1000));
  await ask(
    cluster,
    `ending the pods of ${nameOf({ kind: 'Deployment', metadata: metadata! })}`,
    () => cluster.core.deleteCollectionNamespacedPod({ namespace, labelSelector, gracePeriodSeconds }),
    { signal },
  );
}

/** Waits until a Deployment and its pods are gone. Throws when it takes longer than `limit` ms; trying again goes on. */
async function untilGone(
  cluster: Cluster,
  { name, namespace, uid }: { name: string; namespace: string; uid?: string | undefined },
  limit: number,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const deadline = Date.now() + limit;
  const observer = new Observer(cluster, `waiting until "${name}" is gone`, signal);
  const deployments = observer.follow(deploymentNamed(namespace, name));
  const pods = observer.follow(podsOf(namespace, name));
  try {
    for await (const _ of observer.changes(1_000)) {
      const left = deployments.all().filter(({ metadata }) => uid === undefined || metadata?.uid === uid);
      if (deployments.synced && pods.synced && left.length + pods.all().length === 0) return;
      if (Date.now() > deadline)
        throw new Error(
          `deployment "${name}" in namespace "${namespace}" was deleted, but is not gone after ${limit / 1000} s: ` +
            [...left, ...pods.all()].map(({ metadata }) => metadata?.name).join(', '),
        );
    }
  } finally {
    await observer.close();
  }
}
