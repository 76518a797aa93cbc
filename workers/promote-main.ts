import { Client, Connection } from '@temporalio/client';
import { SlipwayError } from '../contract/errors.js';
import { loadStack } from '../platform/stack.js';
import { temporalConnection } from '../platform/temporal.js';
import { temporalFault } from '../platform/temporal-fault.js';
import { promote } from './promote.js';
import { workerVersion } from './version.js';

/** Run once the workers of a new version are up: makes the version in the environment the current one. */
const version = workerVersion(process.env);
if (!version)
  throw new SlipwayError('InvalidInput', 'SLIPWAY_WORKER_DEPLOYMENT and SLIPWAY_BUILD_ID are not set');
const { temporal } = await loadStack();
const { address, namespace } = temporal;
const connection = Connection.lazy(await temporalConnection(temporal));
try {
  await promote(new Client({ connection, namespace }), version, 240_000);
  console.log(`build "${version.buildId}" of "${version.deploymentName}" is the current one`);
} catch (error) {
  const fault = await temporalFault(temporal).catch(() => null);
  throw fault === null
    ? error
    : new Error(`connecting to Temporal at ${address}: ${fault}`, { cause: error });
} finally {
  await connection.close();
}
