import { request } from 'undici';
import { messageOf } from '../../contract/errors.js';
import { serving } from '../../contract/serving.js';

/** Milliseconds a readiness answer may take; a model that loads on demand is asked again. */
const answerTimeout = 2_000;

/** Null when what serves at `url` is ready, otherwise why not. Throws only the signal's reason. */
export async function whyNotReady(url: string, signal: AbortSignal): Promise<string | null> {
  const bound = AbortSignal.any([signal, AbortSignal.timeout(answerTimeout)]);
  try {
    const { statusCode, body } = await request(url + serving.ready, { signal: bound, reset: true });
    const text = await body.text();
    return statusCode === 200 ? null : `${statusCode} ${text.trim().slice(0, 200)}`.trim();
  } catch (error) {
    signal.throwIfAborted();
    return bound.aborted ? `no answer within ${answerTimeout / 1000} s` : messageOf(error);
  }
}
