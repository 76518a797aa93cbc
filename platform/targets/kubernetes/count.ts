import { messageOf, SlipwayError } from '../../../contract/errors.js';
import type { ReplicaState } from '../index.js';
import { connect, type Cluster, type ClusterOptions } from './cluster.js';
import { labels } from './objects/labels.js';
import { everywhere, listObjects, listWorkloads, selector } from './apiserver/list.js';
import { stableKinds } from './objects/stable.js';

/** Kinds of objects, beside Deployments, that an installation has in a cluster. */
const kinds = [
  { apiVersion: 'apps/v1', kind: 'ReplicaSet' },
  { apiVersion: 'v1', kind: 'Pod' },
  { apiVersion: 'v1', kind: 'Secret' },
  { apiVersion: 'v1', kind: 'ServiceAccount' },
  { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
  ...Object.values(stableKinds),
];

/** An object other than a Deployment. Without `service`, it is shared by all workloads of its namespace. */
export type ClusterObject = {
  kind: string;
  namespace: string;
  name: string;
  service: string | null;
  /** Deployment that it belongs to, and goes with; null for what a service keeps from release to release. */
  workload: string | null;
};

/** What a cluster holds of an installation; `error` says why it could not be asked. */
export type ClusterCount = { workloads: ReplicaState[]; objects: ClusterObject[]; error: string | null };

/** Counts an installation's objects in a cluster; one that is away is part of the answer. */
export async function countCluster(options: ClusterOptions): Promise<ClusterCount> {
  try {
    const cluster = connect(options);
    const found = await Promise.all(
      kinds.map(async (of) => {
        const items = await listKind(cluster, of);
        return items.map(({ kind, metadata }) => ({
          kind,
          namespace: metadata?.namespace ?? '',
          name: metadata?.name ?? '',
          service: metadata?.labels?.[labels.service] ?? null,
          workload: metadata?.labels?.[labels.workload] ?? null,
        }));
      }),
    );
    return { workloads: await listWorkloads(cluster, {}), objects: found.flat(), error: null };
  } catch (error) {
    return { workloads: [], objects: [], error: messageOf(error) };
  }
}

/** None where one may not list them: roles limit Secrets and accounts to those of a name. */
async function listKind<Kind extends (typeof kinds)[number]>(cluster: Cluster, of: Kind) {
  const list = (namespace: string | undefined) =>
    listObjects(cluster, `listing ${of.kind}`, of, { namespace, labelSelector: selector(cluster) });
  try {
    return await everywhere(cluster, list);
  } catch (error) {
    if (error instanceof SlipwayError && error.details['reason'] === 'Forbidden') return [];
    throw error;
  }
}
