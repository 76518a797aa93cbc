import type { KubernetesObject, V1Deployment, V1Pod, V1PodTemplateSpec } from '@kubernetes/client-node';
import { SlipwayError } from '../../../../contract/errors.js';
import type { PlannedTakeover } from '../../index.js';
import { apply, assertOurs, read } from '../apiserver/apply.js';
import { ask } from '../apiserver/ask.js';
import { adviceFor, replicasBeside } from './capacity.js';
import type { Cluster, ImageFacts } from '../cluster.js';
import { fieldManager } from '../objects/labels.js';
import { egressPolicy } from '../objects/egress.js';
import { pullSecret, serviceAccount, type Named } from '../objects/pull-secret.js';
import { deployment, service } from '../objects/workload.js';

/**
 * Has the cluster judge every object that a rollout makes, and one of its pods, without keeping them: validation,
 * admission webhooks and policies, quota, limits. Throws what it refuses with, and `Conflict` for an object that exists
 * and is not this installation's.
 */
export async function rehearse(
  cluster: Cluster,
  takeover: PlannedTakeover,
  image: ImageFacts | null,
  signal: AbortSignal,
): Promise<void> {
  const { set } = takeover;
  const workload = deployment(cluster, set, 1, image);
  const { namespace } = workload.metadata;
  const own = [workload, service(cluster, set)];
  const shared = [
    serviceAccount(cluster, namespace),
    pullSecret(cluster, namespace),
    egressPolicy(cluster, namespace),
  ].filter((one) => one !== null);
  await Promise.all([...own, ...shared].map((object) => tryOut(cluster, object, signal)));
  try {
    await tryPod(cluster, workload, signal);
  } catch (error) {
    if (!isQuota(error)) throw error;
    // The place of a live replica is enough where none comes beside them.
    if (replicasBeside(takeover) === 0) return;
    throw new SlipwayError('RolloutFailed', `${error.message}; ${adviceFor(takeover)}`, error.details);
  }
}

export async function tryOut<T extends KubernetesObject & Named>(
  cluster: Cluster,
  object: T,
  signal: AbortSignal,
): Promise<void> {
  assertOurs(cluster, await read(cluster, object, signal));
  // What others have changed in it meanwhile is judged when it is really applied.
  await apply(cluster, object, { signal, dryRun: true, force: true });
}

/** Quota and policies for pods answer a pod only: its Deployment would be made, and wait for it in vain. */
async function tryPod(
  cluster: Cluster,
  { metadata, spec: { template } }: V1Deployment & Named & { spec: { template: V1PodTemplateSpec } },
  signal: AbortSignal,
): Promise<void> {
  const { name, namespace } = metadata;
  // Neither the account nor the credentials may be there yet.
  const { serviceAccountName: _, imagePullSecrets: __, ...spec } = template.spec!;
  const body = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${name}-try-`,
      namespace,
      ...(template.metadata?.labels && { labels: template.metadata.labels }),
      ...(template.metadata?.annotations && { annotations: template.metadata.annotations }),
    },
    spec: { ...spec, containers: template.spec!.containers },
  } as V1Pod;
  await ask(
    cluster,
    `trying a pod of deployment "${name}" in namespace "${namespace}"`,
    () => cluster.core.createNamespacedPod({ namespace, body, dryRun: 'All', fieldManager }),
    { signal },
  );
}

const isQuota = (error: unknown): error is SlipwayError =>
  error instanceof SlipwayError && error.details['reason'] === 'QuotaExceeded';
