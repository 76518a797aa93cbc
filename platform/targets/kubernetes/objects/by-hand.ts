import type { KubernetesObject } from '@kubernetes/client-node';
import { managersOf } from './drift.js';
import { annotations, fieldManager } from './labels.js';
import type { Managed } from './stable.js';

/** What somebody has changed by hand in an object, as it was noted there by the deployment with this token. */
export function notesOn({ metadata }: KubernetesObject, token: number): string[] {
  const noted = metadata?.annotations?.[annotations.drift] ?? '{}';
  const { token: by, notes = [] } = JSON.parse(noted) as { token?: number; notes?: string[] };
  return by === token ? notes : [];
}

/** Annotations that note this. */
export const noted = (token: number, notes: string[]): Record<string, string> =>
  notes.length > 0 ? { [annotations.drift]: JSON.stringify({ token, notes }) } : {};

/**
 * Who has set a workload's number of replicas after the deployment with this token had; null when nobody has, or only
 * an autoscaler.
 */
export function scaledBy({ metadata }: KubernetesObject, token: number): string | null {
  if (metadata?.annotations?.[annotations.changed] !== String(token)) return null;
  const who = managersOf((metadata.managedFields ?? []) as Managed[], ['spec', 'replicas']);
  const people = who.filter((one) => one !== 'kube-controller-manager');
  if (who.includes(fieldManager) || people.length === 0) return null;
  return people.map((one) => `"${one}"`).join(', ');
}
