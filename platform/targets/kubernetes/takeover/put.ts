import { isDeepStrictEqual } from 'node:util';
import { PatchStrategy, type KubernetesObject } from '@kubernetes/client-node';
import { SlipwayError } from '../../../../contract/errors.js';
import type { Takeover } from '../../index.js';
import {
  applyFenced,
  assertNotFenced,
  assertOurs,
  isOutdated,
  nameOf,
  read,
  type ObjectRef,
} from '../apiserver/apply.js';
import { ask, askFor } from '../apiserver/ask.js';
import type { Cluster } from '../cluster.js';
import { isObject } from '../objects/drift.js';
import { ApplyConflict } from '../apiserver/errors.js';
import { fieldManager } from '../objects/labels.js';
import { assertCandidate } from '../objects/scale.js';
import type { Thing } from '../objects/stable.js';

/**
 * Brings one of a service's own objects to what `wanted` says, or removes it (null), unless the grant was taken back.
 * Throws `Conflict` then, when the object is not this installation's, and when somebody else has set a field of it.
 */
export async function put(
  cluster: Cluster,
  { set, replicas }: Takeover,
  ref: ObjectRef,
  wanted: Thing | null,
  signal?: AbortSignal,
): Promise<void> {
  const { token } = set.grant;
  if (wanted === null) return await removeFenced(cluster, ref, token, signal);
  let absent = false;
  const change = (now: Thing | null) => {
    absent = now === null;
    return wanted;
  };
  try {
    await applyFenced<Thing>(cluster, ref, token, change, { signal });
  } catch (error) {
    if (!(error instanceof ApplyConflict)) throw error;
    // An undo that was cut short has not yet given its fields back.
    if (error.conflicts.some(({ manager }) => manager !== fieldManager)) throw changedByHand(ref, error);
    await applyFenced<Thing>(cluster, ref, token, change, { signal, force: true });
  }
  if (absent) await keepIfCurrent(cluster, set, replicas[0]!, ref, signal);
}

/** What was not there carries no fence: an undo that came in between has fenced the workload instead. */
async function keepIfCurrent(
  cluster: Cluster,
  set: Takeover['set'],
  replica: Takeover['replicas'][number],
  ref: ObjectRef,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await assertCandidate(cluster, set, replica, signal);
  } catch (error) {
    if (error instanceof SlipwayError) await removeFenced(cluster, ref, set.grant.token, signal);
    throw error;
  }
}

function changedByHand(ref: ObjectRef, { conflicts }: ApplyConflict): SlipwayError {
  const told = conflicts.map(({ field, manager }) => `${field} by "${manager}"`).join(', ');
  return new SlipwayError(
    'Conflict',
    `${nameOf(ref)} was changed by hand: ${told}; undo that change, or make it part of the deployment's "kubernetes"`,
    { conflicts },
  );
}

/** Removes an object unless the grant was taken back; what is gone is fine. */
export async function removeFenced(
  cluster: Cluster,
  ref: ObjectRef,
  token: number,
  signal?: AbortSignal,
): Promise<void> {
  for (;;) {
    const now = await read<KubernetesObject>(cluster, ref, signal);
    if (now === null) return;
    assertOurs(cluster, now);
    assertNotFenced(now, token);
    if (await removeExactly(cluster, now, signal)) return;
  }
}

/** Removes this very version of an object; false when it is another by now. */
export async function removeExactly(
  cluster: Cluster,
  object: KubernetesObject,
  signal?: AbortSignal,
): Promise<boolean> {
  const { apiVersion, kind, metadata: { name, namespace, uid, resourceVersion } = {} } = object;
  const head = { apiVersion, kind, metadata: { name, namespace } } as KubernetesObject;
  const preconditions = { ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) };
  const body = { propagationPolicy: 'Background', preconditions };
  try {
    await askFor(
      cluster,
      `removing ${nameOf(object)}`,
      () => cluster.objects.delete(head, undefined, undefined, undefined, undefined, undefined, body),
      { signal },
    );
    return true;
  } catch (error) {
    if (!isOutdated(error)) throw error;
    return false;
  }
}

/** What of an object may be replaced. */
type Replaced = Partial<Pick<Thing['metadata'], 'labels' | 'annotations' | 'managedFields'>> &
  Pick<Thing, 'spec'>;

/** Makes parts of an object exactly these, whoever has set their fields, unless it is another version by now. */
export function replace(
  cluster: Cluster,
  doing: string,
  { apiVersion, kind, metadata, spec: before }: Thing,
  { labels, annotations, managedFields, spec }: Replaced,
  signal?: AbortSignal,
): Promise<Thing> {
  const { name, namespace, resourceVersion } = metadata;
  const patch = {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace,
      resourceVersion,
      ...(labels && { labels: mergePatch(metadata.labels ?? {}, labels) }),
      ...(annotations && { annotations: mergePatch(metadata.annotations ?? {}, annotations) }),
      ...(managedFields && { managedFields }),
    },
    ...(spec && { spec: mergePatch(plain(before ?? {}), plain(spec)) }),
  } as unknown as Thing;
  return ask(
    cluster,
    `${doing} ${nameOf(patch)}`,
    () =>
      cluster.objects.patch(patch, undefined, undefined, fieldManager, undefined, PatchStrategy.MergePatch),
    { signal },
  );
}

const plain = (value: Record<string, unknown>) =>
  JSON.parse(JSON.stringify(value)) as Record<string, unknown>;

/** https://www.rfc-editor.org/rfc/rfc7386: what is left out is set to null. */
function mergePatch(now: Record<string, unknown>, wanted: Record<string, unknown>): Record<string, unknown> {
  const keys = [...new Set([...Object.keys(now), ...Object.keys(wanted)])];
  return Object.fromEntries(
    keys.flatMap((key): [string, unknown][] => {
      const [before, after] = [now[key], wanted[key]];
      if (isDeepStrictEqual(before, after)) return [];
      if (isObject(before) && isObject(after)) return [[key, mergePatch(before, after)]];
      return [[key, after ?? null]];
    }),
  );
}
