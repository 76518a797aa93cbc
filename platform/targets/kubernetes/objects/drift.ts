import { isDeepStrictEqual } from 'node:util';
import type { Managed } from './stable.js';

/** A field's name, or an item of a list. */
type Key = string | { item: unknown; index: number };

/** One field that is not what it was. */
export type Change = { path: Key[]; was: unknown; now: unknown };

/** What differs between two states of an object, field by field. Lists whose items have names are compared by them. */
export function changesBetween(was: unknown, now: unknown, path: Key[] = []): Change[] {
  if (isDeepStrictEqual(was, now)) return [];
  if (isObject(was) && isObject(now))
    return [...new Set([...Object.keys(was), ...Object.keys(now)])].flatMap((key) =>
      changesBetween(was[key], now[key], [...path, key]),
    );
  if (Array.isArray(was) && Array.isArray(now) && [...was, ...now].every(isObject))
    return itemsOf(was, now).flatMap(([before, after], index) =>
      changesBetween(before, after, [...path, { item: after ?? before, index }]),
    );
  return [{ path, was, now }];
}

function itemsOf(was: unknown[], now: unknown[]): [unknown, unknown][] {
  const key = ['name', 'port', 'type', 'key'].find((one) =>
    [...was, ...now].every((item) => (item as Record<string, unknown>)[one] !== undefined),
  );
  if (key === undefined)
    return Array.from({ length: Math.max(was.length, now.length) }, (_, i) => [was[i], now[i]]);
  const by = (items: unknown[]) =>
    new Map(items.map((item) => [(item as Record<string, unknown>)[key], item] as const));
  const [before, after] = [by(was), by(now)];
  return [...new Set([...before.keys(), ...after.keys()])].map((one) => [before.get(one), after.get(one)]);
}

/** `spec.ports[0].port` */
export const textOf = (path: Key[]): string =>
  path
    .map((key, i) =>
      typeof key !== 'string'
        ? `[${key.index}]`
        : /^[\w-]+$/.test(key)
          ? `${i > 0 ? '.' : ''}${key}`
          : `["${key}"]`,
    )
    .join('');

/** The value at a path; undefined where there is none. */
export function valueAt(object: unknown, path: Key[]): unknown {
  return path.reduce<unknown>((at, key) => {
    if (typeof key === 'string') return isObject(at) ? at[key] : undefined;
    return Array.isArray(at) ? at[key.index] : undefined;
  }, object);
}

/** Who has set a field last: whoever owns it most closely. */
export function managersOf(entries: Managed[], path: Key[]): string[] {
  const depths = entries.map((entry) => ({
    manager: entry.manager ?? '',
    depth: depthOf(entry.fieldsV1, path),
  }));
  const deepest = Math.max(0, ...depths.map(({ depth }) => depth));
  return [
    ...new Set(depths.flatMap(({ manager, depth }) => (depth > 0 && depth === deepest ? [manager] : []))),
  ];
}

/**
 * How far down a path the owned part goes; 0 where the field is not in it. What has nothing below it is either owned as
 * a whole or only by its being there, which look the same.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#the-managedfields-format
 */
function depthOf(fields: unknown, path: Key[]): number {
  let at = fields;
  for (const [depth, key] of path.entries()) {
    if (!isObject(at)) return 0;
    if (Object.keys(at).every((one) => one === '.')) return depth;
    const next = typeof key === 'string' ? at[`f:${key}`] : itemAt(at, key.item);
    if (next === undefined) return 0;
    at = next;
  }
  return path.length;
}

function itemAt(fields: Record<string, unknown>, item: unknown): unknown {
  const found = Object.entries(fields).find(([key]) => {
    if (!key.startsWith('k:') || !isObject(item)) return false;
    const keys = JSON.parse(key.slice(2)) as Record<string, unknown>;
    return Object.entries(keys).every(([name, value]) => item[name] === value);
  });
  return found?.[1];
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
