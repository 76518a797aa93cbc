import type { Client } from '@temporalio/client';
import { searchAttributes } from '../../contract/deployment.js';
import { until } from './until.js';

/** https://github.com/temporalio/api/blob/master/temporal/api/enums/v1/common.proto */
const keyword = 2;

/** A namespace of a test's own, with Slipway's search attributes. There is no removing it before the server. */
export async function makeNamespace(temporal: Client, namespace: string): Promise<void> {
  await temporal.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  // It takes the server a while to know it.
  await until(() =>
    temporal.connection.operatorService
      .addSearchAttributes({
        namespace,
        searchAttributes: Object.fromEntries(searchAttributes.map((name) => [name, keyword])),
      })
      .then(
        () => true,
        () => null,
      ),
  );
}
