import { z } from 'zod';
import { TargetKind } from './deploy.js';
import { Digest } from './names.js';
import { Route } from './pipeline.js';

/**
 * A change to the world, written down with all its undo needs *before* it is made.
 * `key` makes it idempotent within one grant.
 */
export const Effect = z.discriminatedUnion('kind', [
  /** A temporary tag on the build engine. Undo: untag, remove what only it held. */
  z.object({ kind: z.literal('build'), key: z.string(), node: z.string(), tag: z.string() }),
  /** A manifest put by digest. Undo: delete it unless a release or another open effect names the digest. */
  z.object({ kind: z.literal('manifest'), key: z.string(), repository: z.string(), digest: Digest }),
  /** A container or a Deployment with its Service. Undo: keep its logs and exit state, remove it. */
  z.object({
    kind: z.literal('replica'),
    key: z.string(),
    target: TargetKind,
    node: z.string(),
    name: z.string(),
  }),
  /**
   * A target's own traffic (Services, Ingress, autoscaler, number of replicas) on its way to a new release. Undo: put
   * back what is in `before`, as the target wrote it down.
   */
  z.object({
    kind: z.literal('traffic'),
    key: z.string(),
    target: TargetKind,
    node: z.string(),
    release: z.string(),
    before: z.unknown(),
  }),
  /** A tag, named after the digest. Undone together with its manifest. */
  z.object({
    kind: z.literal('tag'),
    key: z.string(),
    repository: z.string(),
    tag: z.string(),
    digest: Digest,
  }),
  /** The route moved to a new release. Undo: put `previous` back, under a new version. */
  z.object({
    kind: z.literal('route'),
    key: z.string(),
    release: z.string(),
    previous: Route.nullable(),
  }),
]);
export type Effect = z.infer<typeof Effect>;

/** `intended`: written, perhaps done. `done`: done. `undone`: taken back. `kept`: part of what now serves. */
export const EffectState = z.enum(['intended', 'done', 'undone', 'kept']);

export const JournalEntry = z.object({
  id: z.number().int(),
  service: z.string(),
  token: z.number().int(),
  deployment: z.string(),
  effect: Effect,
  state: EffectState,
});
export type JournalEntry = z.infer<typeof JournalEntry>;

/** A line for people: `container slipway-iris.r7-0 on local`. */
export function describeEffect(effect: Effect): string {
  switch (effect.kind) {
    case 'build':
      return `build tag ${effect.tag} on ${effect.node}`;
    case 'manifest':
      return `manifest ${effect.repository}@${effect.digest}`;
    case 'replica':
      return effect.target === 'kubernetes'
        ? `deployment ${effect.name} in namespace ${effect.node}`
        : `container ${effect.name} on ${effect.node}`;
    case 'traffic':
      return `traffic of ${effect.target} to ${effect.release}`;
    case 'tag':
      return `tag ${effect.repository}:${effect.tag}`;
    case 'route':
      return `route to ${effect.release}`;
  }
}
