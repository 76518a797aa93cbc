import type { WorkerDeploymentOptions } from '@temporalio/worker';
import { SlipwayError } from '../contract/errors.js';

/** Which code a worker runs: one build of a Temporal Worker Deployment. */
export type WorkerVersion = { deploymentName: string; buildId: string };

/**
 * The version that the environment names (`SLIPWAY_WORKER_DEPLOYMENT`, `SLIPWAY_BUILD_ID`), or null for a worker
 * without one. Throws `InvalidInput` when only one of the two is there, or has a character that Temporal refuses.
 */
export function workerVersion(env: NodeJS.ProcessEnv): WorkerVersion | null {
  const { SLIPWAY_WORKER_DEPLOYMENT: deploymentName, SLIPWAY_BUILD_ID: buildId } = env;
  if (!deploymentName && !buildId) return null;
  if (!deploymentName || !buildId)
    throw new SlipwayError(
      'InvalidInput',
      'a worker with a version needs both SLIPWAY_WORKER_DEPLOYMENT and SLIPWAY_BUILD_ID, ' +
        `and ${deploymentName ? 'SLIPWAY_BUILD_ID' : 'SLIPWAY_WORKER_DEPLOYMENT'} is not set`,
    );
  // Temporal joins the two with one of these when it names a version.
  if (/[.:]/.test(deploymentName) || buildId.includes(':'))
    throw new SlipwayError(
      'InvalidInput',
      `SLIPWAY_WORKER_DEPLOYMENT "${deploymentName}" may have neither "." nor ":" in it, SLIPWAY_BUILD_ID "${buildId}" no ":"`,
    );
  return { deploymentName, buildId };
}

/**
 * Options of a worker that has a version. Workflows move on to the version that is current, as owners of services
 * must, which live as long as these; `workflows/index.ts` pins deployments to the version they began on.
 * https://docs.temporal.io/worker-versioning
 */
export const versioned = (version: WorkerVersion): { workerDeploymentOptions: WorkerDeploymentOptions } => ({
  workerDeploymentOptions: { version, useWorkerVersioning: true, defaultVersioningBehavior: 'AUTO_UPGRADE' },
});
