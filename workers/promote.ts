import { setTimeout as delay } from 'node:timers/promises';
import { isGrpcServiceError, type Client } from '@temporalio/client';
import { messageOf } from '../contract/errors.js';
import type { WorkerVersion } from './version.js';

/** `FAILED_PRECONDITION`: it polls not all the queues yet; `NOT_FOUND`: it has not polled at all. */
const notYet = new Set([9, 5]);
const unreachable = new Set([14, 4]);

/**
 * Makes a version the current one: what starts from now on starts on it, and owners of services move to it.
 * Waits until its workers poll; throws what is missing when they do not within `budget` milliseconds.
 */
export async function promote(client: Client, version: WorkerVersion, budget: number): Promise<void> {
  const { namespace } = client.options;
  for (const end = Date.now() + budget; ; await delay(500)) {
    try {
      await client.workflowService.setWorkerDeploymentCurrentVersion({
        namespace,
        ...version,
        identity: 'slipway',
      });
      return;
    } catch (error) {
      if (!isGrpcServiceError(error)) throw error;
      if (Date.now() < end && (notYet.has(error.code) || unreachable.has(error.code))) continue;
      throw new Error(
        `making build "${version.buildId}" of "${version.deploymentName}" the current one in namespace "${namespace}": ` +
          `${messageOf(error)}; are its workers running? ` +
          'See "temporal worker deployment describe"',
        { cause: error },
      );
    }
  }
}
