import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

/** Asks again until there is an answer. */
export async function until<T>(ask: () => Promise<T | null>, budget = 60_000): Promise<T> {
  for (const end = Date.now() + budget; ; await delay(50)) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (Date.now() > end) throw new Error('waiting: in vain');
  }
}

/** Waits until it is so. */
export async function untilTrue(holds: () => boolean | Promise<boolean>, budget = 10_000): Promise<void> {
  for (const end = Date.now() + budget; !(await holds()); await delay(20))
    assert.ok(Date.now() < end, 'it did not come about');
}
