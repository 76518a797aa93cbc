import { ActivityFailure, ApplicationFailure, isCancellation } from '@temporalio/workflow';
import type { Decision, Failure, UndoStep } from '../contract/deployment.js';
import { failureTypes, messageOf, SlipwayError } from '../contract/errors.js';
import type { GrantOutcome } from '../contract/service.js';

/** Runs a check; what it throws fails the workflow at once. A plain error would only stall it. */
export function refuse<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof SlipwayError)
      throw ApplicationFailure.nonRetryable(error.message, error.type, error.details);
    throw ApplicationFailure.nonRetryable(messageOf(error), 'Internal');
  }
}

/** Class of a failure that says none itself: a stage that ran out of time, or out of disk. */
const failureOf: Record<string, Failure['type']> = {
  buildSource: 'BuildFailed',
  checkSource: 'VerificationFailed',
  pushImage: 'PushFailed',
  publishTag: 'PushFailed',
  rollout: 'RolloutFailed',
  admit: 'RolloutFailed',
  verify: 'VerificationFailed',
  roll: 'RolloutFailed',
  share: 'RolloutFailed',
  analyse: 'VerificationFailed',
  promote: 'RolloutFailed',
  shift: 'RolloutFailed',
  awaitGateways: 'RolloutFailed',
};

/** How a deployment that did not succeed ends. */
export class Ending {
  constructor(
    readonly outcome: Exclude<GrantOutcome, 'succeeded' | 'lost'>,
    readonly failure: Failure,
    private readonly cause: unknown,
  ) {}

  /** What the workflow throws once all is taken back; `undone` goes into its details. */
  toThrow(undone: UndoStep[]): unknown {
    if (this.outcome === 'cancelled') return this.cause;
    return ApplicationFailure.nonRetryable(this.failure.message, this.failure.type, {
      ...this.failure.details,
      undone,
    });
  }
}

/**
 * Classifies what `ship` threw. `deadline` is the budget that was used up, or null; `aborted` is who ended it, or null.
 */
export function endingOf(error: unknown, deadline: string | null, aborted: Decision | null): Ending {
  if (aborted !== null) {
    const { by, reason } = aborted;
    return failedWith('Aborted', `aborted${by && ` by ${by}`}${reason && `: ${reason}`}`, error, aborted);
  }
  if (deadline !== null)
    return failedWith(
      'DeadlineExceeded',
      `the deployment took longer than its deadline of ${deadline}`,
      error,
    );
  if (isCancellation(error))
    return new Ending('cancelled', { type: 'Cancelled', message: 'the deployment was cancelled' }, error);
  const root = rootOf(error);
  if (root instanceof ApplicationFailure && isFailureType(root.type))
    return failedWith(root.type, root.message, error, root.details?.[0]);
  if (error instanceof ActivityFailure)
    return failedWith(failureOf[error.activityType] ?? 'Internal', messageOf(root), error);
  return failedWith('Internal', messageOf(error), error);
}

function failedWith(type: Failure['type'], message: string, cause: unknown, details?: unknown): Ending {
  const record = typeof details === 'object' && details !== null ? (details as Record<string, unknown>) : {};
  return new Ending('failed', { type, message, details: record }, cause);
}

function rootOf(error: unknown): unknown {
  let root = error;
  while (root instanceof Error && root.cause instanceof Error && !(root instanceof ApplicationFailure))
    root = root.cause;
  return root;
}

const isFailureType = (type: unknown): type is (typeof failureTypes)[number] =>
  failureTypes.includes(type as (typeof failureTypes)[number]);
