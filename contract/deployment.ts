import { z } from 'zod';
import { failureTypes } from './errors.js';
import { Digest, ImageRef, ReleaseId } from './names.js';
import { DeploymentRef, Progress, stages, Verification } from './pipeline.js';

/** Temporal names that clients and workers share. An installation may have a queue of its own (`temporal.taskQueue`). */
export const defaultTaskQueue = 'slipway';
export const deployWorkflow = 'deployModel';
export const searchAttributes = ['SlipwayModel', 'SlipwayService', 'SlipwayStage'] as const;
/** Query of `deployModel`; answers a {@link DeploymentStatus}. */
export const statusQuery = 'status';
/** Updates of `deployModel`. */
export const deploymentUpdates = ['approve', 'reject', 'pause', 'resume', 'skip', 'abort'] as const;
export type DeploymentUpdate = (typeof deploymentUpdates)[number];

/** What `abort` answers: whether it was this that ended the deployment, and what state it was in. */
export type AbortAnswer = { requested: boolean; state: DeploymentState };

/** Argument of the updates: who asks, and why. */
export const Decision = z.object({
  by: z.string().max(200).default(''),
  reason: z.string().max(2000).default(''),
});
export type Decision = z.infer<typeof Decision>;

export const StageStatus = z.object({
  name: z.enum(stages),
  state: z.enum(['pending', 'running', 'done', 'skipped', 'failed']),
  startedAt: z.iso.datetime().optional(),
  endedAt: z.iso.datetime().optional(),
  /** What came of it: `cached`, `2 layers, 1.2 MB pushed`. */
  detail: z.string().optional(),
});
export type StageStatus = z.infer<typeof StageStatus>;

export const UndoStep = z.object({
  what: z.string(),
  state: z.enum(['pending', 'undone', 'failed']),
  error: z.string().optional(),
  /** What somebody had changed by hand, and was put back. */
  notes: z.array(z.string()).optional(),
});
export type UndoStep = z.infer<typeof UndoStep>;

export const Failure = z.object({
  type: z.union([z.enum(failureTypes), z.literal('Cancelled'), z.literal('Internal')]),
  message: z.string(),
  details: z.record(z.string(), z.unknown()).optional(),
});
export type Failure = z.infer<typeof Failure>;

/** Outcome of a deployment; which release is live is a fact of the service, not of this. */
export const DeploymentState = z.enum([
  'waiting',
  'running',
  'paused',
  'awaiting-approval',
  'undoing',
  'succeeded',
  'failed',
  'cancelled',
  'terminated',
]);
export type DeploymentState = z.infer<typeof DeploymentState>;

export const DeploymentStatus = z.object({
  deployment: DeploymentRef,
  model: z.string(),
  service: z.string(),
  state: DeploymentState,
  /** The stage under way or the last one entered. */
  stage: z.enum(stages).nullable(),
  /** What is being done just now: `waiting for 1 gateway`. */
  step: z.string(),
  stages: z.array(StageStatus),
  token: z.number().int().optional(),
  release: ReleaseId.optional(),
  image: ImageRef.optional(),
  sourceDigest: Digest.optional(),
  weightsDigest: Digest.optional(),
  weightsName: z.string().optional(),
  verification: Verification.optional(),
  /** Where a canary stands. */
  canary: z
    .object({
      /** 1 is the first. */
      step: z.number().int(),
      steps: z.number().int(),
      weight: z.number(),
      /** Waits for somebody to resume. */
      paused: z.boolean(),
    })
    .optional(),
  /** Steps taken back, in the order they were undone. */
  undo: z.array(UndoStep),
  /**
   * What was noticed before anything was changed, no room for both sets at once; and what somebody else has changed by
   * hand while it was.
   */
  warnings: z.array(z.string()).optional(),
  failure: Failure.optional(),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().optional(),
  /** Filled in by the API from the running activity's heartbeat. */
  progress: Progress.optional(),
  /** Filled in by the API: attempt of the running activity and why the last one failed. */
  attempt: z.object({ number: z.number().int(), lastError: z.string().optional() }).optional(),
});
export type DeploymentStatus = z.infer<typeof DeploymentStatus>;

/** What a successful `deployModel` returns. */
export const DeployResult = z.object({
  service: z.string(),
  release: ReleaseId,
  image: ImageRef,
  verification: Verification,
});
export type DeployResult = z.infer<typeof DeployResult>;
