import pLimit from 'p-limit';
import type { Digest } from '../../contract/names.js';
import type { BlobSource, Registry, Watch } from './index.js';

/** Uploads at once: one hides the other's round trips; more would only share the line. */
const concurrency = 3;

/** A layer to be made from files, or one that is in a repository of the same registry. */
type Layer = BlobSource | { digest: Digest; size: number; from: string };

/**
 * Makes sure that a repository has these layers. What it has is left alone, what another repository of the registry
 * has is mounted or else copied, the rest is sent. The first failure stops the others. Answers what was sent.
 */
export async function bringLayers(
  registry: Registry,
  repository: string,
  layers: readonly Layer[],
  { onProgress, signal }: Watch,
): Promise<{ layers: number; bytes: number }> {
  const stop = new AbortController();
  const until = AbortSignal.any([signal, stop.signal]);
  const total = layers.length;
  const sent = { layers: 0, bytes: 0 };
  let finished = 0;
  const bring = async (layer: Layer): Promise<void> => {
    until.throwIfAborted();
    if ((await registry.blobSize(repository, layer.digest, until)) !== layer.size) {
      const mounted =
        'from' in layer &&
        layer.from !== repository &&
        (await registry.mountBlob(repository, layer.digest, layer.from));
      if (!mounted) {
        const bytes = await registry.putBlob(repository, blobOf(registry, layer, until), {
          signal: until,
          onProgress: ({ done = 0 }) =>
            onProgress({
              message: `pushing layer ${Math.min(finished + 1, total)} of ${total}`,
              done,
              total: layer.size,
              unit: 'bytes',
            }),
        });
        sent.bytes += bytes;
        if (bytes > 0) sent.layers += 1;
      }
    }
    finished += 1;
    onProgress({ message: `pushing ${total} layers`, done: finished, total, unit: 'layers' });
  };
  const limit = pLimit(concurrency);
  const settled = await Promise.allSettled(
    layers.map((layer) =>
      limit(() =>
        bring(layer).catch((error: unknown) => {
          stop.abort(error);
          throw error;
        }),
      ),
    ),
  );
  signal.throwIfAborted();
  if (settled.some(({ status }) => status === 'rejected')) throw stop.signal.reason;
  return sent;
}

const blobOf = (registry: Registry, layer: Layer, signal: AbortSignal): BlobSource =>
  'open' in layer
    ? layer
    : {
        digest: layer.digest,
        size: layer.size,
        open: (start) => registry.openBlob(layer.from, layer.digest, start, signal),
      };
