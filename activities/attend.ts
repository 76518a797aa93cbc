import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity';
import { messageOf, Refused, SlipwayError } from '../contract/errors.js';
import type { OnProgress, Progress } from '../contract/pipeline.js';

/** What a long activity is given: where to report, and when to stop. */
export type Watch = { onProgress: OnProgress; signal: AbortSignal };

/** Heartbeats also while nothing progresses: they prove the worker lives and carry the cancellation. */
const heartbeatInterval = 3_000;
/** A full disk may be emptied by what else is going on; after this many attempts the deployment says so and ends. */
const diskFullAttempts = 4;

/**
 * Runs an activity's work: heartbeats its progress, hands it the cancellation signal, and turns what it
 * throws into what Temporal should do about it.
 */
export async function attend<T>(work: (watch: Watch) => Promise<T>): Promise<T> {
  const context = Context.current();
  let last: Progress = { message: '' };
  const beat = setInterval(() => context.heartbeat(last), heartbeatInterval);
  const onProgress: OnProgress = (progress) => {
    last = progress;
    context.heartbeat(progress);
  };
  try {
    return await work({ onProgress, signal: context.cancellationSignal });
  } catch (error) {
    throw translate(error, context);
  } finally {
    clearInterval(beat);
  }
}

/** The same for work that must land, sooner or later: what an administrator can lift is waited for like a server. */
export const persist = <T>(work: (watch: Watch) => Promise<T>): Promise<T> =>
  attend(async (watch) => {
    try {
      return await work(watch);
    } catch (error) {
      throw error instanceof Refused ? new Error(error.message, { cause: error }) : error;
    }
  });

function isDiskFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (error as NodeJS.ErrnoException).code === 'ENOSPC' || isDiskFull(error.cause);
}

function translate(error: unknown, context: Context): unknown {
  if (context.cancellationSignal.aborted) {
    // A worker that shuts down aborts its activities too; those are to be tried again elsewhere.
    const reason: unknown = context.cancellationSignal.reason;
    const { cancelRequested } = context.cancellationDetails ?? {};
    if (cancelRequested)
      return new CancelledFailure('cancelled', [], error instanceof Error ? error : undefined);
    return ApplicationFailure.retryable(`interrupted: ${messageOf(reason ?? error)}`, 'Interrupted');
  }
  if (error instanceof SlipwayError)
    return ApplicationFailure.create({
      message: error.message,
      type: error.type,
      nonRetryable: true,
      details: [error.details],
    });
  if (isDiskFull(error) && context.info.attempt >= diskFullAttempts)
    return ApplicationFailure.nonRetryable(messageOf(error), 'DiskFull');
  // Only the text travels: causes may hold requests with headers in them.
  return ApplicationFailure.retryable(messageOf(error), 'Passing');
}
