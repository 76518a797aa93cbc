import type { Grant } from '../../../../contract/pipeline.js';
import { isAnothers, isOutdated, nameOf, read, type ObjectRef } from '../apiserver/apply.js';
import { ask } from '../apiserver/ask.js';
import type { Cluster } from '../cluster.js';
import { KubernetesError } from '../apiserver/errors.js';
import { driftOf } from './explain-drift.js';
import { dated } from '../takeover/http-route.js';
import { noted, notesOn } from '../objects/by-hand.js';
import { annotations, fieldManager, labels } from '../objects/labels.js';
import { managersOf } from '../objects/drift.js';
import { removeExactly, replace } from '../takeover/put.js';
import type { Recorded, State } from '../takeover/traffic.js';
import type { Managed, Thing } from '../objects/stable.js';

export type PutBack = { cluster: Cluster; grant: Grant; signal: AbortSignal };

/** Who may set the number of live replicas without anybody being told. */
export type Expected = { replicas?: number; scaled?: boolean };

/**
 * Brings an object back to what was recorded, whoever has changed it since, and fences it: no attempt under the grant
 * changes it afterwards. What others have added of their own stays. An object that a later deployment has changed, or that
 * is another installation's by now, is left alone. Answers what somebody else had changed, for people.
 */
export async function putBack(
  { cluster, grant, signal }: PutBack,
  recorded: Recorded,
  expected: Expected = {},
): Promise<string[]> {
  const { ref, was } = recorded;
  for (;;) {
    signal.throwIfAborted();
    const now = await read<Thing>(cluster, ref, signal);
    if (now === null && was === null) return [];
    if (now === null) {
      if (await makeAgain(cluster, grant, recorded, signal)) return driftOf(grant, recorded, null, expected);
      continue;
    }
    if (was !== null && isAnothers(cluster, now)) return [leftAlone(ref)];
    if (Number(note(now, 'changed') ?? 0) > grant.token) return [];
    const drift = driftOf(grant, recorded, now, expected);
    if (was === null) {
      if (now.metadata?.labels?.[labels.stack] !== cluster.stack) return drift;
      if (await removeExactly(cluster, now, signal)) return drift;
      continue;
    }
    // What was noted before: by an undo that was cut short, or by the takeover itself.
    const notes = [...notesOn(now, grant.token), ...drift];
    try {
      await replaceWith(cluster, grant, now, was, notes, expected, signal);
      return notes;
    } catch (error) {
      if (!isOutdated(error)) throw error;
    }
  }
}

/** For people: what was ours has been removed, and made by another installation. */
export const leftAlone = (ref: ObjectRef): string =>
  `${nameOf(ref)} is another installation's by now: left alone`;

const note = (object: Thing, name: keyof typeof annotations): string | undefined =>
  object.metadata?.annotations?.[annotations[name]];

async function replaceWith(
  cluster: Cluster,
  { token }: Grant,
  now: Thing,
  was: State,
  notes: string[],
  { replicas }: Expected,
  signal: AbortSignal,
): Promise<void> {
  const spec = { ...ownSpec(now, was), ...(replicas !== undefined && { replicas }) };
  const wanted = {
    labels: merged(now, was, 'labels'),
    annotations: {
      ...merged(now, was, 'annotations'),
      [annotations.fence]: String(token),
      ...noted(token, notes),
    },
    spec,
  };
  const put = await replace(cluster, 'putting back', now, wanted, signal);
  // Who has set which field is part of what it was: else later applies would conflict with this change.
  await replace(
    cluster,
    'putting back',
    put,
    { managedFields: dated(was.managedFields as Managed[]) },
    signal,
  );
}

/** Of somebody else's object, an HTTPRoute, only the rules are ours to put back. */
export const ownSpec = ({ kind, spec }: Thing, was: State): State['spec'] =>
  kind === 'HTTPRoute' ? { ...spec, rules: was.spec['rules'] } : was.spec;

/** What is ours is as it was; what others have set or removed since is theirs. */
function merged(now: Thing, was: State, part: 'labels' | 'annotations'): Record<string, string> {
  const isOurs = (managedFields: Managed[] | undefined) => (key: string) =>
    key.startsWith('slipway.dev/') ||
    managersOf(managedFields ?? [], ['metadata', part, key]).includes(fieldManager);
  const [before, after] = [isOurs(was.managedFields as Managed[]), isOurs(now.metadata?.managedFields)];
  const others = Object.entries(now.metadata?.[part] ?? {}).filter(([key]) => !before(key) && !after(key));
  const ours = Object.entries(was[part]).filter(([key]) => before(key) || after(key));
  return Object.fromEntries([...others, ...ours]);
}

/** Makes an object that is gone; false when somebody just has. */
async function makeAgain(
  cluster: Cluster,
  { token }: Grant,
  { ref, was }: Recorded,
  signal: AbortSignal,
): Promise<boolean> {
  if (was === null) return true;
  const object = {
    ...ref,
    metadata: {
      ...ref.metadata,
      labels: was.labels,
      annotations: { ...was.annotations, [annotations.fence]: String(token) },
    },
    spec: was.spec,
  };
  const make = (spec: State['spec']): Promise<Thing> =>
    ask(
      cluster,
      `making ${nameOf(ref)} again`,
      () => cluster.objects.create(structuredClone({ ...object, spec }), undefined, undefined, fieldManager),
      { signal },
    );
  try {
    const made = await make(was.spec).catch(async (error: unknown) => {
      if (error instanceof KubernetesError) throw error;
      // Its addresses may be somebody else's by now.
      const { clusterIP, clusterIPs, ...others } = was.spec;
      if (clusterIP === undefined && clusterIPs === undefined) throw error;
      return await make(others);
    });
    const managedFields = dated(was.managedFields as Managed[]);
    await replace(cluster, 'making again', made, { managedFields }, signal);
    return true;
  } catch (error) {
    if (isOutdated(error)) return false;
    throw error;
  }
}
