import { PatchStrategy, type KubernetesObject, type V1ManagedFieldsEntry } from '@kubernetes/client-node';
import { SlipwayError } from '../../../../contract/errors.js';
import { ask, askFor } from './ask.js';
import type { Cluster } from '../cluster.js';
import { ApplyConflict, KubernetesError } from './errors.js';
import { annotations, fieldManager, labels } from '../objects/labels.js';

/** What identifies an object. */
export type ObjectRef = {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace: string };
};

export type ApplyOptions = {
  signal?: AbortSignal | undefined;
  /** Everything but keeping it: quota (of this kind), webhooks and validation answer as they would. */
  dryRun?: boolean;
  /** Takes fields from other managers instead of throwing `ApplyConflict`. */
  force?: boolean;
  /** Throws a `KubernetesError` with code 409 when the object is another version by now, or gone. */
  resourceVersion?: string | undefined;
};

/** `deployment "iris--r7" in namespace "models"` */
export const nameOf = ({ kind, metadata }: ObjectRef | KubernetesObject): string =>
  `${kind?.toLowerCase()} "${metadata?.name}"` +
  (metadata?.namespace === undefined ? '' : ` in namespace "${metadata.namespace}"`);

/**
 * Server-side apply under our field manager: afterwards the object has what is given, and no more of what was applied
 * before and is left out now. Makes the object where there is none. Answers it as the cluster has it.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/
 */
export async function apply<T extends KubernetesObject>(
  cluster: Cluster,
  object: T,
  { signal, dryRun = false, force = false, resourceVersion }: ApplyOptions = {},
): Promise<T> {
  const wanted = {
    ...object,
    metadata: Object.assign({}, object.metadata, resourceVersion !== undefined && { resourceVersion }),
  };
  const doing = `${dryRun ? 'trying' : 'applying'} ${nameOf(object)}`;
  return await ask(
    cluster,
    doing,
    () =>
      cluster.objects.patch(
        wanted,
        undefined,
        dryRun ? 'All' : undefined,
        fieldManager,
        force,
        PatchStrategy.ServerSideApply,
      ),
    { signal },
  );
}

/** The object as the cluster has it, or null. */
export const read = <T extends KubernetesObject>(
  cluster: Cluster,
  { apiVersion, kind, metadata: { name, namespace } }: ObjectRef,
  signal?: AbortSignal,
): Promise<T | null> =>
  askFor(
    cluster,
    `reading ${nameOf({ kind, metadata: { name, namespace } })}`,
    () => cluster.objects.read<T>({ apiVersion, kind, metadata: { name, namespace } } as never),
    { signal },
  );

/**
 * Makes an object that must not be there yet, so that {@link apply} owns its fields from then on. Answers null when it
 * is there: of two that apply the same, both would succeed, and the later one take back what came in between.
 */
export async function create<T extends KubernetesObject>(
  cluster: Cluster,
  object: T,
  signal?: AbortSignal,
): Promise<T | null> {
  try {
    const made = await ask(
      cluster,
      `creating ${nameOf(object)}`,
      () => cluster.objects.create(structuredClone(object), undefined, undefined, fieldManager),
      { signal },
    );
    return await adopt(cluster, made, signal);
  } catch (error) {
    if (error instanceof KubernetesError && error.status?.reason === 'AlreadyExists') return null;
    throw error;
  }
}

/**
 * What was created is owned by our manager's updates, which its applies would conflict with: makes them applied ones.
 * https://pkg.go.dev/k8s.io/client-go/util/csaupgrade does the same for kubectl.
 */
export async function adopt<T extends KubernetesObject>(
  cluster: Cluster,
  object: T,
  signal?: AbortSignal,
): Promise<T> {
  const { managedFields = [], resourceVersion, name, namespace } = object.metadata ?? {};
  const created = (entry: V1ManagedFieldsEntry) =>
    entry.manager === fieldManager && entry.operation === 'Update' && !entry.subresource;
  if (!managedFields.some(created)) return object;
  const target = { apiVersion: object.apiVersion, kind: object.kind, metadata: { name, namespace } };
  const patch = {
    ...target,
    metadata: {
      ...target.metadata,
      resourceVersion,
      managedFields: managedFields.map((entry) =>
        created(entry) ? Object.assign({}, entry, { operation: 'Apply' }) : entry,
      ),
    },
  } as T;
  try {
    return await ask(
      cluster,
      `taking over ${nameOf(object)}`,
      () =>
        cluster.objects.patch(patch, undefined, undefined, fieldManager, undefined, PatchStrategy.MergePatch),
      { signal },
    );
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.code !== 409) throw error;
    // Its status was written meanwhile.
    const now = await read<T>(cluster, target as ObjectRef, signal);
    return now === null ? object : await adopt(cluster, now, signal);
  }
}

/** An object that is there must be this installation's. Throws `Conflict` naming it. */
export function assertOurs(cluster: Cluster, object: KubernetesObject | null): void {
  if (object === null) return;
  const owner = object.metadata?.labels?.[labels.stack];
  if (owner === cluster.stack) return;
  throw new SlipwayError(
    'Conflict',
    `${nameOf(object)} exists and is not this installation's (label ${labels.stack}: ` +
      `${owner === undefined ? 'none' : `"${owner}"`}): remove or rename it, or give the service another name`,
    { kind: object.kind, name: object.metadata?.name, namespace: object.metadata?.namespace },
  );
}

/** Does an object that is there bear the name of another installation? */
export function isAnothers({ stack }: Pick<Cluster, 'stack'>, object: KubernetesObject | null): boolean {
  const owner = object?.metadata?.labels?.[labels.stack];
  return owner !== undefined && owner !== stack;
}

/** Throws `Conflict` when the deployment with this fencing token was taken back: it must change the object no more. */
export function assertNotFenced(object: KubernetesObject, token: number): void {
  const fence = Number(object.metadata?.annotations?.[annotations.fence] ?? 0);
  if (fence < token) return;
  throw new SlipwayError(
    'Conflict',
    `fenced: ${nameOf(object)} must not be changed any more by deployment r${token}, which was taken back`,
    { name: object.metadata?.name, namespace: object.metadata?.namespace, fence, token },
  );
}

/**
 * Changes an object under a fencing token: reads it, lets `change` say what to apply (null: leave it as it is), and
 * applies that to the very version that was read; when it has changed meanwhile, all over again. Where there is none,
 * `change` is given null, and what it answers is made, unless somebody else just has. Answers the object as it is then.
 * Throws `Conflict` when the token is fenced, or the object is another installation's.
 */
export async function applyFenced<T extends KubernetesObject>(
  cluster: Cluster,
  ref: ObjectRef,
  token: number,
  change: (current: T | null) => T | null,
  { signal, force }: Pick<ApplyOptions, 'signal' | 'force'> = {},
): Promise<T | null> {
  for (;;) {
    signal?.throwIfAborted();
    const current = await read<T>(cluster, ref, signal);
    assertOurs(cluster, current);
    if (current !== null) assertNotFenced(current, token);
    const wanted = change(current);
    if (wanted === null) return current;
    if (current === null) {
      const made = await create(cluster, wanted, signal);
      if (made !== null) return made;
      continue;
    }
    const { resourceVersion } = current.metadata ?? {};
    try {
      return await apply(cluster, wanted, { signal, resourceVersion, ...(force && { force }) });
    } catch (error) {
      if (!isOutdated(error)) throw error;
    }
  }
}

/** Did the object change, or go, since its version was read? Conflicts with other managers are not meant. */
export const isOutdated = (error: unknown): boolean =>
  error instanceof KubernetesError &&
  !(error instanceof ApplyConflict) &&
  (error.code === 409 || error.code === 404);
