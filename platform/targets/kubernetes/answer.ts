import { setTimeout as sleep } from 'node:timers/promises';
import type { Replica } from '../../../contract/pipeline.js';
import { whyNotReady } from '../readiness.js';

/** Milliseconds between two attempts, and in all. */
const [interval, patience] = [100, 20_000];

/**
 * Waits until a workload that the cluster calls ready answers so at the address that gateways use: nodes learn of new
 * endpoints a moment later. Throws a passing fault naming the address when it does not.
 */
export async function awaitAnswer({ name, url }: Replica, signal: AbortSignal): Promise<void> {
  const end = Date.now() + patience;
  for (;;) {
    const why = await whyNotReady(url, signal);
    if (why === null) return;
    if (Date.now() > end)
      throw new Error(
        `workload "${name}" is ready, but not so at ${url} (${why}): do this machine's packets reach the cluster there?`,
      );
    await sleep(interval, undefined, { signal });
  }
}
