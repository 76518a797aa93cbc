import type { V1Deployment } from '@kubernetes/client-node';
import { SlipwayError } from '../../../../contract/errors.js';
import type { Grant, Replica } from '../../../../contract/pipeline.js';
import type { Takeover } from '../../index.js';
import { appliedPart } from '../apiserver/applied.js';
import { applyFenced, assertNotFenced, read, type ObjectRef } from '../apiserver/apply.js';
import type { Cluster } from '../cluster.js';
import { annotations } from './labels.js';
import type { Thing } from './stable.js';

export type Workload = Pick<Replica, 'node' | 'name'>;

type Scaled = {
  metadata?: { annotations?: Record<string, string> };
  spec?: { replicas?: unknown };
};

export const workloadRef = ({ node, name }: Workload): ObjectRef => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { namespace: node, name },
});

export const readWorkload = (
  cluster: Cluster,
  workload: Workload,
  signal?: AbortSignal,
): Promise<V1Deployment | null> => read<V1Deployment>(cluster, workloadRef(workload), signal);

export const replicasOfWorkload = (deployment: Scaled | null): number =>
  deployment === null ? 0 : Number(deployment.spec?.replicas ?? 1);

/** How many replicas a live workload had before the deployment with this token lowered it; as many as now when it did not. */
export function fullOf(deployment: Scaled, token: number): number {
  const of = deployment.metadata?.annotations ?? {};
  const lowered = of[annotations.changed] === String(token) ? of[annotations.full] : undefined;
  return lowered === undefined ? replicasOfWorkload(deployment) : Number(lowered);
}

/**
 * Sets a workload's number of replicas and notes on it how many it had. A workload that is gone is left so. Throws
 * `Conflict` when the grant was taken back.
 */
export async function scale(
  cluster: Cluster,
  grant: Grant,
  workload: Workload,
  replicas: number,
  signal?: AbortSignal,
): Promise<void> {
  const change = (now: Thing | null): Thing | null => {
    if (now === null || replicasOfWorkload(now) === replicas) return null;
    const part = appliedPart(now);
    return {
      ...part,
      metadata: {
        ...part.metadata,
        annotations: {
          ...part.metadata.annotations,
          [annotations.changed]: String(grant.token),
          [annotations.full]: String(fullOf(now, grant.token)),
        },
      },
      spec: { ...part.spec, replicas },
    };
  };
  // An autoscaler may have set the number last.
  await applyFenced(cluster, workloadRef(workload), grant.token, change, { signal, force: true });
}

/** Replicas that a set shall have in the end: what its spec says; with an autoscaler, as many as are live. */
export async function wantedReplicas(
  cluster: Cluster,
  { set, live }: Pick<Takeover, 'set' | 'live'>,
  signal?: AbortSignal,
): Promise<number> {
  const { replicas, kubernetes } = set.spec;
  const bounds = kubernetes?.autoscaling;
  if (!bounds) return replicas;
  const now = live[0] && (await readWorkload(cluster, live[0], signal));
  const wanted = now ? fullOf(now, set.grant.token) : replicas;
  return Math.min(bounds.max, Math.max(bounds.min, wanted));
}

/** The new workload must be there, and its deployment not taken back. Throws `Conflict`. */
export async function assertCandidate(
  cluster: Cluster,
  { grant }: { grant: Grant },
  workload: Workload,
  signal?: AbortSignal,
): Promise<V1Deployment> {
  const deployment = await readWorkload(cluster, workload, signal);
  if (deployment === null)
    throw new SlipwayError(
      'Conflict',
      `fenced: deployment "${workload.name}" in namespace "${workload.node}" is gone, it cannot take over`,
    );
  assertNotFenced(deployment, grant.token);
  return deployment;
}
