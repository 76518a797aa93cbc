import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import pRetry from 'p-retry';
import { searchAttributes } from '../../contract/deployment.js';
import { which } from '../../infra/local/tools/path.js';
import { temporal } from '../../infra/local/tools/temporal.js';
import { getTool, type Tool } from '../../infra/local/tools/tool.js';
import { testServer } from './temporal-test-server.js';

/** https://github.com/temporalio/api/blob/master/temporal/api/enums/v1/common.proto */
const indexedValueTypeKeyword = 2;

/**
 * A real Temporal server of this process's own, in memory, with Slipway's search attributes. Time runs as it
 * does. `dynamicConfig` sets server settings, e.g. `{ 'limit.historyCount.suggestContinueAsNew': 60 }`.
 */
export async function localTemporal(
  dynamicConfig: Record<string, unknown> = {},
): Promise<TestWorkflowEnvironment> {
  const settings = {
    // Without these every hop of a lone workflow waits 50 ms for the next poll of its shard,
    'history.transferProcessorMaxPollRPS': 2000,
    'history.timerProcessorMaxPollRPS': 2000,
    'system.enableActivityEagerExecution': true,
    // and timers and retries are up to a second late.
    'history.timerProcessorMaxTimeShift': '1ms',
    ...dynamicConfig,
  };
  const server = {
    ...(await executable(temporal)),
    searchAttributes: searchAttributes.map((name) =>
      defineSearchAttributeKey(name, SearchAttributeType.KEYWORD),
    ),
    extraArgs: Object.entries(settings).flatMap(([key, value]) => [
      '--dynamic-config-value',
      `${key}=${JSON.stringify(value)}`,
    ]),
  };
  return await patiently(() => TestWorkflowEnvironment.createLocal({ server }));
}

/**
 * Temporal's test server, which jumps over time in which nothing happens: a day passes in milliseconds while
 * a result is awaited. It jumps over nothing while an activity runs.
 */
export async function timeSkippingTemporal(): Promise<TestWorkflowEnvironment> {
  const buildable = (await which('java')) !== null && (await which('mvn')) !== null;
  // Otherwise the SDK downloads the release that it was made for.
  const server = buildable ? await executable(testServer) : {};
  const environment = await patiently(() => TestWorkflowEnvironment.createTimeSkipping({ server }));
  // It refuses workflow tasks that set attributes it was not told of.
  await environment.connection.operatorService.addSearchAttributes({
    namespace: 'default',
    searchAttributes: Object.fromEntries(searchAttributes.map((name) => [name, indexedValueTypeKeyword])),
  });
  return environment;
}

/** The SDK ends a server that does not answer within 5 s, as none does on a machine that has much else to do. */
const patiently = <T>(start: () => Promise<T>): Promise<T> =>
  pRetry(start, {
    retries: 10,
    minTimeout: 100,
    factor: 1,
    shouldRetry: ({ error }) => error.message.includes('did not start'),
  });

async function executable(tool: Tool) {
  const path = await getTool(tool, () => undefined, AbortSignal.timeout(20 * 60_000));
  return { executable: { type: 'existing-path' as const, path } };
}
