import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

/** Milliseconds that matter only to a test that fails: on a machine with much else to do little takes seconds. */
const patience = 180_000;

/** Asks again until there is an answer. */
export async function until<T>(ask: () => Promise<T | null>, budget = patience): Promise<T> {
  for (const end = Date.now() + budget; ; await delay(50)) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (Date.now() > end) throw new Error('waiting: in vain');
  }
}

/** Waits until it is so. */
export async function untilTrue(holds: () => boolean | Promise<boolean>, budget = patience): Promise<void> {
  for (const end = Date.now() + budget; !(await holds()); await delay(20))
    assert.ok(Date.now() < end, 'it did not come about');
}
