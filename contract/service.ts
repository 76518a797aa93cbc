import { z } from 'zod';
import { DeploymentRef } from './pipeline.js';
import { ReleaseId } from './names.js';

/** Entity workflow that owns a service; its id is {@link serviceWorkflowId}. */
export const serviceWorkflow = 'modelService';
export const serviceWorkflowId = (service: string): string => `service/${service}`;

/** Update of `modelService`: asks for the right to change the service. */
export const requestGrantUpdate = 'requestGrant';
/** Signal to `deployModel`: a queued request was granted. */
export const grantedSignal = 'granted';
/** Query of `modelService`; answers a {@link ServiceState}. */
export const serviceStateQuery = 'state';

export const GrantRequest = z.object({
  deployment: DeploymentRef,
  onConflict: z.enum(['fail', 'wait', 'supersede']),
});
export type GrantRequest = z.infer<typeof GrantRequest>;

export type GrantAnswer =
  | { kind: 'granted'; token: number }
  | { kind: 'queued'; holder: DeploymentRef }
  | { kind: 'conflict'; holder: DeploymentRef };

/** How a grant ended; `lost`: its holder ended without saying so. */
export const GrantOutcome = z.enum(['succeeded', 'failed', 'cancelled', 'lost']);
export type GrantOutcome = z.infer<typeof GrantOutcome>;

/** A service as the catalog knows it. */
export const ServiceRecord = z.object({
  service: z.string(),
  /** Release that gets the traffic. */
  live: ReleaseId.nullable(),
  /** Release that was live before. */
  previous: ReleaseId.nullable(),
  /** Newest release that passed verification and was not taken back. */
  lastVerified: ReleaseId.nullable(),
  /** Highest fencing token given. */
  token: z.number().int(),
  /** Deployment that may change the service now. */
  holder: DeploymentRef.nullable(),
});
export type ServiceRecord = z.infer<typeof ServiceRecord>;

/** Something that was done to a service, and by whom. */
export const AuditEntry = z.object({
  at: z.iso.datetime(),
  /** A person, or the workflow id of a deployment. */
  actor: z.string(),
  /** `shift`, `drift`, `load-pickle`. */
  action: z.string(),
  details: z.record(z.string(), z.unknown()),
});
export type AuditEntry = z.infer<typeof AuditEntry>;

/** What `modelService` answers to a query. */
export type ServiceState = {
  service: string;
  holder: (DeploymentRef & { token: number }) | null;
  waiting: DeploymentRef[];
};
