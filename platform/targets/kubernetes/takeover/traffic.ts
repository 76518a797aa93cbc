import type { KubernetesObject, V1Deployment } from '@kubernetes/client-node';
import { z } from 'zod';
import type { Takeover, Watch } from '../../index.js';
import { assertOurs, read, type ObjectRef } from '../apiserver/apply.js';
import type { Cluster } from '../cluster.js';
import { findRoute } from './http-route.js';
import { fullOf, readWorkload, replicasOfWorkload, workloadRef, type Workload } from '../objects/scale.js';
import { labels } from '../objects/labels.js';
import {
  canaryIngressRef,
  stableKinds,
  stableObjects,
  stableRef,
  type StableKind,
  type Thing,
} from '../objects/stable.js';

const Ref = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.object({ namespace: z.string(), name: z.string() }),
});

const State = z.object({
  labels: z.record(z.string(), z.string()),
  annotations: z.record(z.string(), z.string()),
  /** Who has set which field. */
  managedFields: z.array(z.looseObject({})),
  spec: z.record(z.string(), z.unknown()),
});
export type State = z.infer<typeof State>;

/** An object as it was before a takeover (null: there was none), and what the takeover makes of it. */
const Recorded = z.object({
  ref: Ref,
  was: State.nullable(),
  next: z.record(z.string(), z.unknown()).nullable(),
});
export type Recorded = z.infer<typeof Recorded>;

const Place = z.object({ node: z.string(), name: z.string() });

/** What undo needs. JSON, written to the journal. Secrets are not in it: environments name them only. */
export const Snapshot = z.object({
  objects: z.array(Recorded),
  /** The live workload and its number of replicas; null for a first release. */
  live: z.object({ ...Place.shape, replicas: z.number(), recorded: Recorded }).nullable(),
  /** The new one; `replicas` when it had been there before the deployment began. */
  candidate: z.object({ ...Place.shape, replicas: z.number().nullable() }),
});
export type Snapshot = z.infer<typeof Snapshot>;

/**
 * Writes down a service's own objects and its live workload as they are before a takeover. Throws `Conflict` when one
 * of that name is not this installation's.
 */
export async function snapshot(cluster: Cluster, takeover: Takeover, { signal }: Watch): Promise<Snapshot> {
  const { set, replicas, live } = takeover;
  const { grant } = set;
  const candidate = replicas[0]!;
  const next = stableObjects({ cluster, set, replica: candidate });
  const kinds = Object.keys(stableKinds) as StableKind[];
  const places = [...new Set([candidate.node, ...live.map(({ node }) => node)])];
  const refs = places.flatMap((place) => [
    ...kinds.map((kind) => ({
      ref: stableRef(kind, place, grant.service),
      next: place === candidate.node ? next[kind] : null,
    })),
    { ref: canaryIngressRef(place, grant.service), next: null },
  ]);
  // Its own Service is never changed, but somebody may remove it meanwhile.
  refs.push(...live.map((one) => ({ ref: frontRef(one), next: null })));
  const objects = await Promise.all(
    refs.map(async ({ ref, next: after }): Promise<Recorded> => {
      const now = await read<Thing>(cluster, ref, signal);
      assertOurs(cluster, now);
      return { ref, was: stateOf(now), next: (after?.spec as Recorded['next']) ?? null };
    }),
  );
  const route = await findRoute(cluster, takeover, signal);
  if (route) objects.push({ ref: refTo(route), was: stateOf(route), next: null });
  return {
    objects,
    live: live[0] ? await liveState(cluster, live[0], grant.token, signal) : null,
    candidate: {
      node: candidate.node,
      name: candidate.name,
      replicas: await replicasBefore(cluster, candidate, grant.token, signal),
    },
  };
}

async function liveState(
  cluster: Cluster,
  workload: Workload,
  token: number,
  signal: AbortSignal,
): Promise<Snapshot['live']> {
  const now = await readWorkload(cluster, workload, signal);
  if (now === null) return null;
  const { node, name } = workload;
  const ref = workloadRef(workload);
  return {
    node,
    name,
    replicas: fullOf(now, token),
    recorded: { ref, was: stateOf(now as KubernetesObject), next: null },
  };
}

/** A workload that was kept for going back is not this deployment's to remove. */
async function replicasBefore(
  cluster: Cluster,
  workload: Workload,
  token: number,
  signal: AbortSignal,
): Promise<number | null> {
  const now: V1Deployment | null = await readWorkload(cluster, workload, signal);
  if (now === null || now.metadata?.labels?.[labels.token] === String(token)) return null;
  return replicasOfWorkload(now);
}

/** An object as JSON, without what changes by itself. */
export function stateOf(object: KubernetesObject | null): State | null {
  if (object === null) return null;
  const { metadata = {}, spec = {} } = JSON.parse(JSON.stringify(object)) as {
    metadata?: Partial<State>;
    spec?: State['spec'];
  };
  return {
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    managedFields: metadata.managedFields ?? [],
    spec,
  };
}

const frontRef = ({ node, name }: Workload): ObjectRef => ({
  ...stableKinds.service,
  metadata: { namespace: node, name },
});

const refTo = ({ apiVersion, kind, metadata }: KubernetesObject): ObjectRef => ({
  apiVersion: apiVersion!,
  kind: kind!,
  metadata: { namespace: metadata!.namespace!, name: metadata!.name! },
});
