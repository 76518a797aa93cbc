import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lock } from 'proper-lockfile';
import { createHome, type Home } from './home.js';
import type { Report } from './report.js';

/**
 * Does `act` while no other process changes the stack. Waits for one that does; one that was killed is waited out,
 * 15 s at most.
 */
export async function whileLocked<T>(
  { home, report, signal }: { home: Home; report: Report; signal: AbortSignal },
  act: () => Promise<T>,
): Promise<T> {
  await createHome(home);
  const release = await acquire(join(home.run, 'stack'), report, signal);
  try {
    return await act();
  } finally {
    await release();
  }
}

async function acquire(path: string, report: Report, signal: AbortSignal): Promise<() => Promise<void>> {
  for (const since = Date.now(); ; await sleep(200, undefined, { signal }))
    try {
      return await lock(path, { realpath: false, stale: 15_000, update: 3_000 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ELOCKED') throw error;
      if (Date.now() - since > 1_000) report.step('stack', 'waiting for another slipway that changes it');
    }
}
