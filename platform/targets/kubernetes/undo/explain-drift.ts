import { isDeepStrictEqual } from 'node:util';
import type { Grant } from '../../../../contract/pipeline.js';
import { nameOf } from '../apiserver/apply.js';
import { changesBetween, managersOf, textOf, valueAt, type Change } from '../objects/drift.js';
import { annotations, fieldManager } from '../objects/labels.js';
import { ownSpec, type Expected } from './put-back.js';
import type { Managed, Thing } from '../objects/stable.js';
import { stateOf, type Recorded, type State } from '../takeover/traffic.js';

/** Longest that a value is told. */
const longest = 120;

/**
 * What is neither as it was recorded nor as the deployment has made it: somebody else's changes, one text each, with
 * object, field, who, and what from and to.
 */
export function driftOf(
  { token }: Grant,
  recorded: Recorded,
  now: Thing | null,
  expected: Expected,
): string[] {
  const { ref, was, next } = recorded;
  const name = nameOf(ref);
  if (now === null) {
    // An autoscaler is in the way while replicas are replaced; what a release does not ask for goes.
    const ours = ref.kind === 'HorizontalPodAutoscaler' || (next === null && isOptional(ref.kind));
    return was === null || ours ? [] : [`${name} had been removed: made again`];
  }
  const by = now.metadata?.annotations?.[annotations.changed];
  if (was === null)
    return by === String(token)
      ? []
      : [`${name} was made meanwhile by ${managers(now, ['metadata', 'name'])}: left as it is`];
  const state = stateOf(now)!;
  const found = [
    ...changesBetween(ownSpec({ ...now, spec: state.spec }, was), state.spec, ['spec']),
    ...(['labels', 'annotations'] as const).flatMap((part) => ownedChanges(was, state, part)),
  ];
  return found.flatMap((change) => {
    if (isExplained(change, { by, token, next, expected, now })) return [];
    const who = managers(now, change.path);
    return [
      `${name}: ${textOf(change.path)} was changed by ${who} from ${told(change.was)} to ${told(change.now)}: put back`,
    ];
  });
}

/** A release may have none of these. */
const isOptional = (kind: string): boolean => kind === 'Ingress' || kind === 'PodDisruptionBudget';

/** Of labels and annotations only ours are looked at: others come and go with whoever writes them. */
function ownedChanges(was: State, now: State, part: 'labels' | 'annotations'): Change[] {
  return Object.entries(was[part]).flatMap(([key, value]) => {
    const path = ['metadata', part, key];
    const isOurs = managersOf(was.managedFields as Managed[], path).includes(fieldManager);
    return isOurs && now[part][key] !== value ? [{ path, was: value, now: now[part][key] }] : [];
  });
}

type Known = {
  by: string | undefined;
  token: number;
  next: Recorded['next'];
  expected: Expected;
  now: Thing;
};

function isExplained(change: Change, { by, token, next, expected, now }: Known): boolean {
  const who = managersOf(now.metadata?.managedFields ?? [], change.path);
  if (who.includes(fieldManager)) return true;
  if (textOf(change.path) === 'spec.replicas') {
    if (expected.scaled === true && who.every((one) => one === 'kube-controller-manager')) return true;
    return who.length === 0;
  }
  if (who.length > 0) return false;
  // Nobody's: something was left out. By the deployment, when it has changed the object and wants it so.
  if (by !== String(token)) return false;
  return change.path[0] === 'spec'
    ? isDeepStrictEqual(valueAt({ spec: next ?? {} }, change.path), change.now)
    : true;
}

function managers(now: Thing, path: Change['path']): string {
  const who = managersOf(now.metadata?.managedFields ?? [], path).filter((one) => one !== fieldManager);
  return who.length > 0 ? who.map((one) => `"${one}"`).join(', ') : 'somebody';
}

function told(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}
