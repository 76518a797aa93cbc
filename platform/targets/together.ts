/**
 * Runs jobs side by side. The first failure aborts the others; returns or throws once all have ended,
 * so that nothing still acts afterwards. When `signal` aborts, throws its reason.
 */
export async function together<Item, Result>(
  items: readonly Item[],
  signal: AbortSignal,
  job: (item: Item, signal: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
  const stop = new AbortController();
  const bound = AbortSignal.any([signal, stop.signal]);
  const jobs = items.map((item) => job(item, bound));
  try {
    return await Promise.all(jobs);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    stop.abort(new Error('another of the same jobs failed'));
    await Promise.allSettled(jobs);
  }
}
