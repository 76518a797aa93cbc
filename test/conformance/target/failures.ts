import assert from 'node:assert/strict';
import { SlipwayError } from '../../../contract/errors.js';

/** A budget for what is told long before a start-up budget of ten minutes is over: on a busy machine a minute is soon. */
export const soon = 120_000;

/** What is refused for good; answers the refusal. */
export async function refusal(work: Promise<unknown>): Promise<SlipwayError> {
  const began = Date.now();
  const error: unknown = await work.then(
    () => assert.fail('was not refused'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof SlipwayError, String(error));
  assert.equal(error.type, 'RolloutFailed');
  assert.ok(Date.now() - began < soon, `told after ${Date.now() - began} ms`);
  return error;
}

/** What another attempt may get past. */
export async function passing(work: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof Error && !(error instanceof SlipwayError), String(error));
    assert.match(error.message, message);
    return true;
  });
}
