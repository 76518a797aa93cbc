import { Runtime } from '@temporalio/worker';
import { messageOf } from '../contract/errors.js';

/**
 * Serves what the worker counts (polls, slots, latencies, failures of tasks) at `http://ADDRESS/metrics`, in Prometheus'
 * text form, until the process ends. Call before anything connects. https://docs.temporal.io/references/sdk-metrics
 */
export function serveMetrics(address: string): void {
  try {
    Runtime.install({ telemetryOptions: { metrics: { prometheus: { bindAddress: address } } } });
  } catch (cause) {
    throw new Error(`serving metrics at ${address} (workerMetrics): ${messageOf(cause)}`, { cause });
  }
}
