import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { ArtifactKind } from '../../contract/api.js';
import type { ObjectVersion } from '../../contract/pipeline.js';

/** A source bundle or weights archive found in storage, newest content of that name. */
export type StoredArtifact = { model: string; kind: ArtifactKind; name: string; object: ObjectVersion };

/** Where models live. One implementation a file; `s3.ts` is the first. */
export interface Storage {
  /** Makes the place where artifacts lie if it is missing, and lets it keep versions. Idempotent; throws where it may not. */
  prepare(signal?: AbortSignal): Promise<void>;
  /** Artifacts of a model: weights newest date first. Objects whose names are not dates are left out. */
  list(model: string, kind: ArtifactKind): Promise<StoredArtifact[]>;
  /** Current versions whose keys begin with `prefix`, by key. */
  listUnder(prefix: string): Promise<ObjectVersion[]>;
  /** The current version under a key, or null. */
  stat(key: string): Promise<ObjectVersion | null>;
  /**
   * Bytes of exactly this version, from `start` to `end` (inclusive; default: all).
   * Throws `Conflict` when the version cannot be had any more because it was overwritten,
   * `NotFound` when it was deleted. The stream fails when it ends short.
   */
  read(
    object: ObjectVersion,
    range?: { start: number; end?: number },
    signal?: AbortSignal,
  ): Promise<Readable>;
  /** Stores bytes under a key, replacing what was there (where the bucket keeps versions, it stays readable). */
  put(key: string, body: Buffer | Readable, size?: number): Promise<ObjectVersion>;
  /** Removes this version only; what it replaced becomes current again. Removing what is gone succeeds. */
  remove(object: ObjectVersion): Promise<void>;
}

/** `<model>/model/20260131.zip`, `<model>/src/<model>.zip` */
export function artifactKey(model: string, kind: ArtifactKind, name: string): string {
  return kind === 'weights' ? `${model}/model/${name}.zip` : `${model}/src/${name}.zip`;
}

/** Slipway's own objects (indexes, build logs, evidence of failed containers) live under this prefix. */
export const internalPrefix = '.slipway/';

/** Where a deployment's own objects lie: build log, evidence of replicas that failed. */
export const deploymentPrefix = ({ workflowId, runId }: { workflowId: string; runId: string }): string =>
  `${internalPrefix}deployments/${keyPart(workflowId)}/${runId}/`;

/** Any workflow id as one part of a key: stores take no part of more than 255 bytes, and none that is only dots. */
function keyPart(id: string): string {
  const encoded = encodeURIComponent(id).replaceAll('.', '%2E');
  if (encoded.length <= 200) return encoded;
  return `${encoded.slice(0, 120)}~${createHash('sha256').update(id).digest('hex')}`;
}
