import { Client, Connection } from '@temporalio/client';
import { SlipwayError } from '../contract/errors.js';
import { loadStack } from '../platform/stack.js';
import { promote } from './promote.js';
import { workerVersion } from './version.js';

/** Run once the workers of a new version are up: makes the version in the environment the current one. */
const version = workerVersion(process.env);
if (!version)
  throw new SlipwayError('InvalidInput', 'SLIPWAY_WORKER_DEPLOYMENT and SLIPWAY_BUILD_ID are not set');
const { address, namespace } = (await loadStack()).temporal;
const connection = Connection.lazy({ address });
try {
  await promote(new Client({ connection, namespace }), version, 240_000);
  console.log(`build "${version.buildId}" of "${version.deploymentName}" is the current one`);
} finally {
  await connection.close();
}
