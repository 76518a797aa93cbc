import pLimit, { type LimitFunction } from 'p-limit';

/**
 * Lets work wait for its turn: so many at once, and one at a time of those with the same key. Who is cancelled while
 * waiting is let go at once; who has begun is waited for, as its effects have to be known.
 */
export function turns(atOnce: number) {
  const all = pLimit(atOnce);
  const byKey = new Map<string, LimitFunction>();
  return async <T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
    const same = byKey.get(key) ?? pLimit(1);
    byKey.set(key, same);
    try {
      return await unlessAborted(same, signal, () => unlessAborted(all, signal, work));
    } finally {
      if (same.activeCount + same.pendingCount === 0) byKey.delete(key);
    }
  };
}

function unlessAborted<T>(limit: LimitFunction, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return new Promise((done, fail) => {
    signal.throwIfAborted();
    const giveUp = (): void => fail(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    limit(async () => {
      signal.removeEventListener('abort', giveUp);
      signal.throwIfAborted();
      return await work();
    }).then(done, fail);
  });
}
