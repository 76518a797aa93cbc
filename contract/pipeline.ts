import { z } from 'zod';
import { Recipe, ServeSpec, TargetKind } from './deploy.js';
import { Digest, ImageRef, ReleaseId } from './names.js';

/** The stages of a deployment, in order. */
export const stages = [
  'upload',
  'source-download',
  'model-download',
  'build',
  'push',
  'rollout',
  'verify',
] as const;
export type Stage = (typeof stages)[number];

/** One exact version of an object in storage. Reading it never yields other bytes. */
export const ObjectVersion = z.object({
  key: z.string(),
  /** Identifies the version: S3 `versionId` where the bucket keeps versions, otherwise the ETag alone pins it. */
  versionId: z.string().optional(),
  etag: z.string(),
  /** Bytes. */
  size: z.number().int().nonnegative(),
  modified: z.iso.datetime(),
});
export type ObjectVersion = z.infer<typeof ObjectVersion>;

/** A source bundle or a weights archive, validated, indexed and pinned. */
export const PinnedArtifact = z.object({
  kind: z.enum(['source', 'weights']),
  model: z.string(),
  /** `20260131` for weights, the model's name for source. */
  name: z.string(),
  object: ObjectVersion,
  /** Digest of the archive's *content* (paths, sizes, file digests): re-zipping the same files keeps it. */
  digest: Digest,
  /** Storage key of the per-file index. */
  index: z.string(),
  files: z.number().int(),
  /** Unpacked bytes. */
  bytes: z.number().int(),
});
export type PinnedArtifact = z.infer<typeof PinnedArtifact>;

/** Everything a deployment reads, fixed once at its start. */
export const Pinned = z.object({
  source: PinnedArtifact,
  weights: PinnedArtifact,
  base: ImageRef,
  spec: ServeSpec,
  /** Why this recipe, when it was detected. */
  recipeReason: z.string(),
  /** The release that serves now. */
  live: z.object({ id: ReleaseId, sourceDigest: Digest, image: ImageRef }).nullable(),
});
export type Pinned = z.infer<typeof Pinned>;

/** A running copy of a release; on Kubernetes all of its copies, behind one Service. */
export const Replica = z.object({
  /** Docker: the node's name. Kubernetes: the namespace. */
  node: z.string(),
  /** Docker: the container, `slipway-iris.r7-0`. Kubernetes: the Deployment and its Service, `iris--r7`. */
  name: z.string(),
  /** Base URL the gateway and the verifier reach it at. */
  url: z.url(),
});
export type Replica = z.infer<typeof Replica>;

export const SampleResult = z.object({
  ok: z.boolean(),
  /** Milliseconds the answer took. */
  latency: z.number(),
  expected: z.unknown().optional(),
  got: z.unknown().optional(),
  problem: z.string().optional(),
});
export type SampleResult = z.infer<typeof SampleResult>;

export const Verification = z.object({
  at: z.iso.datetime(),
  samples: z.array(SampleResult),
});
export type Verification = z.infer<typeof Verification>;

/** Immutable record of what was once verified and served. */
export const Release = z.object({
  id: ReleaseId,
  service: z.string(),
  model: z.string(),
  /** Fencing token of the deployment that made it; also its number. */
  token: z.number().int(),
  /** Workflow id of the deployment that made it. */
  deployment: z.string(),
  target: TargetKind,
  image: ImageRef,
  /** Source image the weights were appended to. */
  sourceImage: ImageRef,
  source: z.object({ digest: Digest, name: z.string() }),
  weights: z.object({ digest: Digest, name: z.string() }),
  recipe: Recipe,
  spec: ServeSpec,
  verification: Verification,
  /** The earlier release that this one repeats, when it is a rollback. */
  repeats: ReleaseId.optional(),
  createdAt: z.iso.datetime(),
});
export type Release = z.infer<typeof Release>;

/** Where a service's requests go. */
export const Route = z.object({
  service: z.string(),
  release: ReleaseId,
  replicas: z.array(Replica),
  /** A new release on its way, and the percent of requests it gets. */
  canary: z
    .object({ release: ReleaseId, replicas: z.array(Replica), weight: z.number().min(0).max(100) })
    .nullable()
    .default(null),
  /** Grows with every change of any route. */
  version: z.number().int(),
});
export type Route = z.infer<typeof Route>;

/** A started deployment: any workflow id, and the run. */
export const DeploymentRef = z.object({ workflowId: z.string(), runId: z.string() });
export type DeploymentRef = z.infer<typeof DeploymentRef>;

/** What every activity with a side effect carries: who acts, under which grant. */
export const Grant = z.object({
  service: z.string(),
  token: z.number().int().positive(),
  deployment: DeploymentRef,
});
export type Grant = z.infer<typeof Grant>;

/** Heartbeat details and what `status` shows of a running stage. */
export const Progress = z.object({
  /** e.g. `pushing 3 of 11 layers`. */
  message: z.string(),
  done: z.number().optional(),
  total: z.number().optional(),
  unit: z.enum(['bytes', 'layers', 'replicas', 'steps', 'samples', 'files']).optional(),
});
export type Progress = z.infer<typeof Progress>;
/** Receives progress; also the place where a cancelled activity notices. */
export type OnProgress = (progress: Progress) => void;
