import { setTimeout as sleep } from 'node:timers/promises';
import type { Replica } from '../../../contract/pipeline.js';
import type { Watch } from '../index.js';
import { whyNotReady } from '../readiness.js';

/** Milliseconds between two attempts, and in all; controllers may take half a minute to find back to an apiserver. */
const [interval, patience] = [50, 60_000];

/**
 * Waits until a workload that the cluster calls ready answers so at the address that gateways use: nodes learn of new
 * endpoints a moment later. Throws a passing fault naming the address when it does not.
 */
export async function awaitAnswer({ name, url }: Replica, { signal, onProgress }: Watch): Promise<void> {
  const began = Date.now();
  for (let told = began; ;) {
    const why = await whyNotReady(url, signal);
    if (why === null) return;
    if (Date.now() - began > patience)
      throw new Error(
        `workload "${name}" is ready, but not so at ${url} (${why}): do this machine's packets reach the cluster there?`,
      );
    if (Date.now() - told > 1_000) {
      told = Date.now();
      onProgress({ message: `ready, but no answer yet at ${url}: ${why}` });
    }
    await sleep(interval, undefined, { signal });
  }
}
