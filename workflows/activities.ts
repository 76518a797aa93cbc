import { ActivityCancellationType, proxyActivities, type ActivityOptions } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';

// Passing faults (a stopped server, a killed worker) are waited out: attempts are unlimited within the
// stage's own bound, and only what trying again cannot mend is thrown as non-retryable.
const retry = { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '15s' } as const;

const long = (scheduleToCloseTimeout: ActivityOptions['scheduleToCloseTimeout']): ActivityOptions => ({
  scheduleToCloseTimeout: scheduleToCloseTimeout!,
  // A worker that is gone is noticed after this long; activities heartbeat every few seconds.
  heartbeatTimeout: '15s',
  // With the default, undo would start while the attempt still runs.
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry,
});

export const { pin, recallRelease } = proxyActivities<Activities>(long('2h'));
export const { downloadSource } = proxyActivities<Activities>(long('1h'));
export const { downloadModel } = proxyActivities<Activities>(long('6h'));
export const { buildSource, checkSource } = proxyActivities<Activities>(long('3h'));
export const { pushImage, publishTag } = proxyActivities<Activities>(long('6h'));
export const { rollout } = proxyActivities<Activities>(long('6h'));
export const { verify } = proxyActivities<Activities>(long('2h'));
export const { admit } = proxyActivities<Activities>(long('30m'));
export const { roll, share, promote } = proxyActivities<Activities>(long('6h'));
export const { shift, awaitGateways } = proxyActivities<Activities>(long('30m'));

/**
 * Lasts as long as a canary step. It changes nothing, so that whoever cuts it short need not wait for its end.
 */
export const { analyse } = proxyActivities<Activities>({
  startToCloseTimeout: '365d',
  heartbeatTimeout: '15s',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry,
});

/** Grants and undo have no bound but the deployment's own: they must land. */
export const {
  requestGrant,
  openGrant,
  grantIsOpen,
  holderOf,
  isRunning,
  beginUndo,
  openEffects,
  closeGrant,
} = proxyActivities<Activities>({ startToCloseTimeout: '30s', retry });

export const { undoEffect, tidy } = proxyActivities<Activities>({
  scheduleToCloseTimeout: '24h',
  heartbeatTimeout: '15s',
  retry,
});

/** Returns when a workflow has closed; waits as long as that takes. */
export const { awaitClosed } = proxyActivities<Activities>({
  startToCloseTimeout: '365d',
  heartbeatTimeout: '15s',
  retry,
});
