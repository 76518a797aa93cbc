import type { KubernetesObject } from '@kubernetes/client-node';
import { fieldManager } from '../objects/labels.js';

/** `f:name` a field, `k:{…}` an item by its keys, `v:…` an item by its value, `.` the thing itself. */
type Fields = { [path: string]: Fields };

/**
 * The part of an object that our applies own: what to apply again, with a change in it, so that everything else stays
 * as it was applied. What client-go's ExtractInto does.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#the-managedfields-format
 */
export function appliedPart<T extends KubernetesObject>(object: T, manager = fieldManager): T {
  const entry = object.metadata?.managedFields?.find(
    (one) => one.manager === manager && one.operation === 'Apply' && !one.subresource,
  );
  const part = (entry ? pick(object, entry.fieldsV1 as Fields) : {}) as T;
  const { name, namespace } = object.metadata ?? {};
  return {
    ...part,
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: Object.assign(
      {},
      part.metadata,
      name !== undefined && { name },
      namespace !== undefined && { namespace },
    ),
  };
}

function pick(value: unknown, fields: Fields): unknown {
  // Nothing below it is told apart: all of it.
  if (Object.keys(fields).length === 0 || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return pickItems(value, fields);
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => {
      const owned = fields[`f:${key}`];
      return owned ? [[key, pick(inner, owned)]] : [];
    }),
  );
}

/** In the order they have: that of environment variables and mounts is part of what runs. */
function pickItems(items: unknown[], fields: Fields): unknown[] {
  const paths = Object.entries(fields).map(([path, inner]) => ({ path, inner }));
  return items.flatMap((item) => {
    const owned = paths.find(({ path }) => isAt(item, path));
    return owned ? [pick(item, owned.inner)] : [];
  });
}

function isAt(item: unknown, path: string): boolean {
  if (!/^[kv]:/.test(path)) return false;
  const wanted: unknown = JSON.parse(path.slice(2));
  return path.startsWith('v:') ? item === wanted : hasKeys(item, wanted as Record<string, unknown>);
}

const hasKeys = (item: unknown, keys: Record<string, unknown>): boolean =>
  Object.entries(keys).every(([key, value]) => (item as Record<string, unknown>)[key] === value);
