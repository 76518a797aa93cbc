import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';

/**
 * Runs work, and cancels it as soon as `steered` says so. True when the work was done; false when it was cut short.
 * Throws what the work throws.
 */
export async function cutShort(steered: () => boolean, work: () => Promise<unknown>): Promise<boolean> {
  const scope = new CancellationScope();
  const done = scope.run(work);
  const told = scope.run(() => condition(steered));
  try {
    await Promise.race([done, told]);
  } finally {
    scope.cancel();
    await Promise.allSettled([done, told]);
  }
  try {
    await done;
    return true;
  } catch (error) {
    // Cancelled from outside, the caller's next step throws.
    if (isCancellation(error)) return false;
    throw error;
  }
}
