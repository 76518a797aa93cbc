import { z } from 'zod';
import { Decision, DeploymentState, DeploymentStatus } from './deployment.js';
import { DeployInput } from './deploy.js';
import { Digest, Name, ReleaseId, WeightsDate } from './names.js';
import { DeploymentRef, PinnedArtifact, Release, Route, stages } from './pipeline.js';
import { Plan } from './plan.js';
import { AuditEntry, ServiceRecord } from './service.js';

export const ArtifactKind = z.enum(['source', 'weights']);
export type ArtifactKind = z.infer<typeof ArtifactKind>;

/** Body of every response with a status of 400 or more. */
export const ApiError = z.object({
  error: z.object({
    /** A failure type, or `Unauthorized`, `Unavailable`, `Internal`. */
    type: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
});
export type ApiError = z.infer<typeof ApiError>;

export const UploadRequest = z
  .strictObject({
    kind: ArtifactKind,
    /** Weights only; default: today (UTC). */
    date: WeightsDate.optional(),
    /** Bytes of the archive. */
    size: z.number().int().positive(),
  })
  .refine((r) => r.kind === 'weights' || r.date === undefined, {
    path: ['date'],
    message: 'only weights have a date',
  });

export const UploadSession = z.object({
  id: z.string(),
  key: z.string(),
  /** Bytes of every part but the last. */
  partSize: z.number().int(),
  /** Parts already stored; the client compares and sends only the others. */
  parts: z.array(z.object({ number: z.number().int(), size: z.number().int(), md5: z.string() })),
});
export type UploadSession = z.infer<typeof UploadSession>;

export const DeploymentSummary = z.object({
  deployment: DeploymentRef,
  model: z.string(),
  service: z.string(),
  state: DeploymentState,
  stage: z.enum(stages).nullable(),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().optional(),
  /** Is a release this deployment made what the service serves now? */
  live: z.boolean(),
});
export type DeploymentSummary = z.infer<typeof DeploymentSummary>;

export const ServiceView = z.object({
  record: ServiceRecord,
  route: Route.nullable(),
  releases: z.array(Release),
});
export type ServiceView = z.infer<typeof ServiceView>;

const deploymentId = z.object({ id: z.string() });
const runQuery = z.object({ run: z.string().optional() });
const empty = z.object({});

/**
 * Every call of `/api/v1`, once: the server registers these, the client calls these,
 * OpenAPI is derived from these. Paths are relative to `/api/v1`; `:x` is a path parameter.
 */
export const endpoints = {
  startUpload: {
    method: 'POST',
    path: '/models/:model/uploads',
    params: z.object({ model: Name }),
    query: empty,
    body: UploadRequest,
    response: UploadSession,
  },
  completeUpload: {
    method: 'POST',
    path: '/models/:model/uploads/:id/complete',
    params: z.object({ model: Name, id: z.string() }),
    query: empty,
    /** sha256 of the archive as the client read it. */
    body: z.strictObject({ sha256: Digest }),
    response: PinnedArtifact,
  },
  abortUpload: {
    method: 'DELETE',
    path: '/models/:model/uploads/:id',
    params: z.object({ model: Name, id: z.string() }),
    query: empty,
    body: null,
    response: empty,
  },
  listArtifacts: {
    method: 'GET',
    path: '/models/:model/artifacts',
    params: z.object({ model: Name }),
    query: empty,
    body: null,
    response: z.array(
      z.object({ kind: ArtifactKind, name: z.string(), size: z.number(), modified: z.iso.datetime() }),
    ),
  },
  deploy: {
    method: 'POST',
    path: '/deployments',
    params: empty,
    query: z.object({ id: z.string().min(1).max(500).optional() }),
    body: DeployInput,
    response: DeploymentRef,
  },
  plan: { method: 'POST', path: '/plan', params: empty, query: empty, body: DeployInput, response: Plan },
  listDeployments: {
    method: 'GET',
    path: '/deployments',
    params: empty,
    query: z.object({
      service: Name.optional(),
      model: Name.optional(),
      limit: z.coerce.number().int().min(1).max(500).default(50),
    }),
    body: null,
    response: z.array(DeploymentSummary),
  },
  getDeployment: {
    method: 'GET',
    path: '/deployments/:id',
    params: deploymentId,
    query: runQuery,
    body: null,
    response: DeploymentStatus,
  },
  approve: {
    method: 'POST',
    path: '/deployments/:id/approve',
    params: deploymentId,
    query: runQuery,
    body: Decision,
    response: empty,
  },
  reject: {
    method: 'POST',
    path: '/deployments/:id/reject',
    params: deploymentId,
    query: runQuery,
    body: Decision,
    response: empty,
  },
  pause: {
    method: 'POST',
    path: '/deployments/:id/pause',
    params: deploymentId,
    query: runQuery,
    body: Decision,
    response: empty,
  },
  resume: {
    method: 'POST',
    path: '/deployments/:id/resume',
    params: deploymentId,
    query: runQuery,
    body: Decision,
    response: empty,
  },
  /** Ends the present canary step without its judgement; refused with `Conflict` when there is none. */
  skip: {
    method: 'POST',
    path: '/deployments/:id/skip',
    params: deploymentId,
    query: runQuery,
    body: Decision,
    response: empty,
  },
  /** The deployment fails as `Aborted` and is undone. Aborting what is being undone or has ended changes nothing. */
  abort: {
    method: 'POST',
    path: '/deployments/:id/abort',
    params: deploymentId,
    query: runQuery,
    body: Decision,
    /** `state` as it was found. */
    response: z.object({ requested: z.boolean(), state: DeploymentState }),
  },
  /** Cancelling what has ended, or twice, changes nothing and succeeds. */
  cancel: {
    method: 'POST',
    path: '/deployments/:id/cancel',
    params: deploymentId,
    query: runQuery,
    body: Decision,
    response: z.object({ requested: z.boolean() }),
  },
  listServices: {
    method: 'GET',
    path: '/services',
    params: empty,
    query: empty,
    body: null,
    response: z.array(ServiceView),
  },
  getService: {
    method: 'GET',
    path: '/services/:service',
    params: z.object({ service: Name }),
    query: empty,
    body: null,
    response: ServiceView,
  },
  /** Newest first. */
  listAudit: {
    method: 'GET',
    path: '/services/:service/audit',
    params: z.object({ service: Name }),
    query: z.object({ limit: z.coerce.number().int().min(1).max(500).default(50) }),
    body: null,
    response: z.array(AuditEntry),
  },
  rollback: {
    method: 'POST',
    path: '/services/:service/rollback',
    params: z.object({ service: Name }),
    query: empty,
    body: z.strictObject({
      to: ReleaseId.optional(),
      onConflict: z.enum(['fail', 'wait', 'supersede']).default('fail'),
    }),
    response: DeploymentRef,
  },
  predict: {
    method: 'POST',
    path: '/services/:service/predict',
    params: z.object({ service: Name }),
    query: empty,
    body: z.object({ input: z.unknown() }),
    response: z.object({ output: z.unknown() }),
  },
} as const satisfies Record<string, Endpoint>;

export type Endpoint = {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  params: z.ZodType;
  query: z.ZodType;
  body: z.ZodType | null;
  response: z.ZodType;
};
export type EndpointName = keyof typeof endpoints;

/**
 * Calls that stream instead of carrying JSON:
 * `PUT /models/:model/uploads/:id/parts/:number` takes raw bytes, answers 204, refuses a `content-md5` that does not match;
 * `GET /deployments/:id/logs?run=&stage=&follow=true` answers `text/plain`, ends when the deployment has ended.
 */
export const streams = {
  putPart: '/models/:model/uploads/:id/parts/:number',
  logs: '/deployments/:id/logs',
} as const;
