import type { KubernetesObject, V1Deployment, V1Pod, V1Service } from '@kubernetes/client-node';
import { SlipwayError } from '../../../../contract/errors.js';
import type { ReplicaState, Target } from '../../index.js';
import { urlOf } from '../objects/address.js';
import { ask } from './ask.js';
import type { Cluster } from '../cluster.js';
import { annotations, labels } from '../objects/labels.js';

type Filter = NonNullable<Parameters<Target['list']>[0]>;

/** `slipway.dev/stack=local,slipway.dev/service=iris`, with what is given. */
export const selector = (
  cluster: Pick<Cluster, 'stack'>,
  more: Record<string, string | number | undefined> = {},
): string =>
  [[labels.stack, cluster.stack], ...Object.entries(more)]
    .flatMap(([label, value]) => (value === undefined ? [] : [`${label}=${value}`]))
    .join(',');

/**
 * Runs a list call in every namespace that the installation looks at: those it is limited to, else all at once; where
 * that is not allowed, its own.
 */
export async function everywhere<T>(
  { config }: Pick<Cluster, 'config'>,
  call: (namespace: string | undefined) => Promise<{ items: T[] }>,
): Promise<T[]> {
  try {
    const lists = await Promise.all((config.namespaces ?? [undefined]).map(call));
    return lists.flatMap(({ items }) => items);
  } catch (error) {
    const forbidden = error instanceof SlipwayError && error.details['reason'] === 'Forbidden';
    if (config.namespaces || !forbidden) throw error;
    return (await call(config.namespace)).items;
  }
}

/**
 * Objects of one kind with these labels, in one namespace or in all; the library's own call takes eight arguments by place.
 * `doing` is for errors.
 */
export async function listObjects<Kind extends { apiVersion: string; kind: string }>(
  cluster: Cluster,
  doing: string,
  of: Kind,
  { namespace, labelSelector }: { namespace: string | undefined; labelSelector: string },
  signal?: AbortSignal,
): Promise<{ items: (KubernetesObject & Kind)[] }> {
  const none = undefined;
  const { items } = await ask(
    cluster,
    doing,
    () => cluster.objects.list(of.apiVersion, of.kind, namespace, none, none, none, none, labelSelector),
    { signal },
  );
  // A list says of what kind it is, and its items do not.
  return { items: items.map((item) => ({ ...item, ...of })) };
}

/** An installation's workloads, found by label, matching all given fields; one entry for each Deployment. */
export async function listWorkloads(
  cluster: Cluster,
  { service, release, token, role }: Filter,
): Promise<ReplicaState[]> {
  const labelSelector = selector(cluster, {
    [labels.service]: service,
    [labels.token]: token,
    [labels.role]: role,
  });
  const { apps, core } = cluster;
  const deployments = await everywhere(cluster, (namespace) =>
    ask(cluster, 'listing deployments', () =>
      namespace === undefined
        ? apps.listDeploymentForAllNamespaces({ labelSelector })
        : apps.listNamespacedDeployment({ namespace, labelSelector }),
    ),
  );
  const wanted = deployments.filter(
    ({ metadata }) => release === undefined || metadata?.annotations?.[annotations.release] === release,
  );
  if (wanted.length === 0) return [];
  const [services, pods] = await Promise.all([
    everywhere(cluster, (namespace) =>
      ask(cluster, 'listing services', () =>
        namespace === undefined
          ? core.listServiceForAllNamespaces({ labelSelector })
          : core.listNamespacedService({ namespace, labelSelector }),
      ),
    ),
    everywhere(cluster, (namespace) =>
      ask(cluster, 'listing pods', () =>
        namespace === undefined
          ? core.listPodForAllNamespaces({ labelSelector })
          : core.listNamespacedPod({ namespace, labelSelector }),
      ),
    ),
  ]);
  return await Promise.all(
    wanted.map((one) => {
      const front = services.find(({ metadata }) => isAt(metadata, one));
      const own = pods.filter(
        ({ metadata }) =>
          metadata?.namespace === one.metadata?.namespace &&
          metadata?.labels?.[labels.workload] === one.metadata?.name,
      );
      return stateOf(cluster, one, front, own);
    }),
  );
}

const isAt = (metadata: V1Service['metadata'], { metadata: other }: V1Deployment): boolean =>
  metadata?.namespace === other?.namespace && metadata?.name === other?.name;

async function stateOf(
  cluster: Cluster,
  { metadata, status }: V1Deployment,
  front: V1Service | undefined,
  pods: V1Pod[],
): Promise<ReplicaState> {
  const label = (name: keyof typeof labels) => metadata?.labels?.[labels[name]] ?? '';
  const note = (name: keyof typeof annotations) => metadata?.annotations?.[annotations[name]] ?? '';
  const containers = pods.flatMap((pod) => pod.status?.containerStatuses ?? []);
  const ends = containers.flatMap(({ state, lastState }) => state?.terminated ?? lastState?.terminated ?? []);
  return {
    node: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
    service: label('service'),
    release: note('release'),
    token: Number(label('token')),
    role: label('role'),
    deployment: note('deployment'),
    image: note('image'),
    running: (status?.readyReplicas ?? 0) > 0,
    exitCode: ends[0]?.exitCode ?? null,
    oomKilled: ends.some(({ reason }) => reason === 'OOMKilled'),
    restarts: containers.reduce((sum, { restartCount }) => sum + restartCount, 0),
    url: front ? await urlOf(cluster, front) : null,
  };
}
