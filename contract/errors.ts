/** The classes a deployment can fail with; the type of the workflow's `ApplicationFailure`. */
export const failureTypes = [
  'InvalidInput',
  'NotFound',
  'Conflict',
  'BuildFailed',
  'PushFailed',
  'RolloutFailed',
  'VerificationFailed',
  'Rejected',
  'Aborted',
  'DeadlineExceeded',
] as const;
export type FailureType = (typeof failureTypes)[number];

/**
 * An error that trying again cannot mend: activities turn it into a non-retryable
 * `ApplicationFailure` of the same type. Any other error is taken for a passing fault and retried.
 * `details` must be JSON and free of secrets: Temporal keeps it in clear.
 */
export class SlipwayError extends Error {
  override readonly name = 'SlipwayError';

  constructor(
    readonly type: FailureType,
    message: string,
    readonly details: Record<string, unknown> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * A refusal that is not ours to lift, but an administrator's: credentials that have expired, a permission, a quota, a
 * policy. A stage fails with it at once; what must land, an undo, is tried until it is lifted.
 */
export class Refused extends SlipwayError {}

/** The text of an unknown thrown value, causes included: `pushing "x": connecting "y": refused`. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.message || (error as NodeJS.ErrnoException).code || error.name;
  if (error instanceof AggregateError && error.errors.length > 0)
    return `${own}: ${error.errors.map(messageOf).join('; ')}`;
  return error.cause === undefined || own.includes(messageOf(error.cause))
    ? own
    : `${own}: ${messageOf(error.cause)}`;
}
