import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import type { BuildConfig } from '../../../contract/stack.js';
import type { Watch } from '../index.js';
import { engineLines } from './engine-stream.js';
import type { BuildProgress } from './progress.js';
import { decodeTrace, traceId } from './trace.js';

/**
 * Builds a context with BuildKit under a tag. Throws what the engine says, or when its stream ends without an image.
 * Aborting closes the request, by which the engine stops the build.
 */
export async function runBuild(
  docker: Docker,
  context: Readable,
  { tag, build }: { tag: string; build: BuildConfig },
  progress: BuildProgress,
  { onProgress, signal }: Watch,
): Promise<void> {
  const broken = new AbortController();
  context.once('error', (error) => broken.abort(error));
  let built = false;
  try {
    const stream = await docker.buildImage(context, {
      version: '2',
      t: tag,
      // By this id the build can be cancelled by whoever takes it back; see `cancelBuild`.
      buildid: tag,
      // Otherwise each step's container is kept when it fails.
      forcerm: true,
      buildargs: proxyArguments(build),
      ...(build.network === 'host' ? { networkmode: 'host' } : {}),
      abortSignal: AbortSignal.any([signal, broken.signal]),
    } as Docker.ImageBuildOptions);
    for await (const line of engineLines(stream)) {
      if (line.id === traceId) progress.see(decodeTrace(line.aux));
      if (line.id === 'moby.image.id') built = true;
      onProgress(progress.progress);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (broken.signal.aborted) throw broken.signal.reason;
    throw error;
  } finally {
    context.destroy();
  }
  signal.throwIfAborted();
  if (!built) throw new Error('the stream of the engine ended before the image was built');
}

/** Stops a build that somebody else may have left running. None running: nothing happens. */
export async function cancelBuild(docker: Docker, tag: string): Promise<void> {
  const modem = docker.modem as { dial: (options: object, callback: (error: unknown) => void) => void };
  await new Promise<void>((done, fail) => {
    modem.dial(
      {
        path: '/build/cancel?',
        options: { id: tag },
        method: 'POST',
        statusCodes: { 200: true, 204: true, 404: true, 500: 'server error' },
      },
      (error) => (error ? fail(error) : done()),
    );
  });
}

/** BuildKit passes these to the steps, and leaves them out of history, cache keys and image. */
function proxyArguments({ httpProxy, httpsProxy, noProxy }: BuildConfig): Record<string, string> {
  const given = { http_proxy: httpProxy, https_proxy: httpsProxy, no_proxy: noProxy };
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) =>
      value === undefined
        ? []
        : [
            [name, value],
            [name.toUpperCase(), value],
          ],
    ),
  );
}
