/** Runs until done or interrupted; an interruption lets what is under way end in order. */
export async function interruptibly<T>(act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = (): void =>
    controller.abort(
      new Error('interrupted; "slipway up" goes on from here, "slipway down" stops everything'),
    );
  // Not `once`: libraries that clean up on signals end the process when nobody else listens any more.
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    return await act(controller.signal);
  } catch (error) {
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
