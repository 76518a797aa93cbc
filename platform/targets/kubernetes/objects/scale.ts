import type { V1Deployment } from '@kubernetes/client-node';
import { SlipwayError } from '../../../../contract/errors.js';
import type { Grant, Replica } from '../../../../contract/pipeline.js';
import type { Takeover } from '../../index.js';
import { appliedPart } from '../apiserver/applied.js';
import { applyFenced, assertNotFenced, nameOf, read, type ObjectRef } from '../apiserver/apply.js';
import type { Cluster } from '../cluster.js';
import { noted, notesOn, scaledBy } from './by-hand.js';
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
 * Sets a workload's number of replicas and notes on it how many it had: what somebody has set it to meanwhile counts
 * from then on, and is noted too; with `heeding`, it stays so this time. A workload that is gone is left so. Answers it as it is then. Throws `Conflict` when
 * the grant was taken back.
 */
export async function scale(
  cluster: Cluster,
  grant: Grant,
  workload: Workload,
  replicas: number,
  signal?: AbortSignal,
  heeding = false,
): Promise<V1Deployment | null> {
  const { token } = grant;
  const change = (now: Thing | null): Thing | null => {
    if (now === null) return null;
    const who = scaledBy(now, token);
    const before = replicasOfWorkload(now);
    const isNoted = now.metadata.annotations?.[annotations.changed] === String(token);
    if (before === replicas && isNoted && who === null) return null;
    const notes = notesOn(now, token);
    if (who !== null)
      notes.push(
        `${nameOf(now)}: spec.replicas was set to ${before} by ${who} during this deployment: ` +
          'the new release has as many as were asked for it',
      );
    const part = appliedPart(now);
    return {
      ...part,
      metadata: {
        ...part.metadata,
        annotations: {
          ...part.metadata.annotations,
          [annotations.changed]: String(token),
          [annotations.full]: String(who === null ? fullOf(now, token) : before),
          ...noted(token, notes),
        },
      },
      spec: { ...part.spec, replicas: who !== null && heeding ? before : replicas },
    };
  };
  // An autoscaler may have set the number last.
  const ref = workloadRef(workload);
  const applied = await applyFenced(cluster, ref, token, change, { signal, force: true });
  return applied as V1Deployment | null;
}

/** A workload as it is, with a note on it when somebody has set its number of replicas since it was last scaled here. */
export async function heed(
  cluster: Cluster,
  grant: Grant,
  workload: Workload,
  signal?: AbortSignal,
): Promise<V1Deployment | null> {
  const now = await readWorkload(cluster, workload, signal);
  if (now === null || scaledBy(now, grant.token) === null) return now;
  return await scale(cluster, grant, workload, replicasOfWorkload(now), signal, true);
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
