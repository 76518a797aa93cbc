import type { IncomingMessage } from 'node:http';
import { SlipwayError } from '../../contract/errors.js';
import type { ImageRef } from '../../contract/names.js';
import type { Progress } from '../../contract/pipeline.js';
import { ask, askFor, EngineError, referenceOn, type Node } from './docker-node.js';
import type { Watch } from './index.js';

export type Credentials = { username: string; password: string };

/** An image a node holds: the name it is known by there, and the user it names. */
export type LocalImage = { reference: string; id: string; user: string };

/** A stream that says nothing for this long is given up; the caller tries again. */
const stallTimeout = 5 * 60_000;

/** Finds a node's own copy of an image by digest, or null. */
export async function findImage(
  node: Node,
  image: ImageRef,
  signal?: AbortSignal,
): Promise<LocalImage | null> {
  const known = await inspectImage(node, referenceOn(node, image), signal);
  if (known) return known;
  // A registry that moved to another address left copies under its old one; they are the same bytes.
  const all = await ask(node, 'listing images', (abortSignal) => node.docker.listImages({ abortSignal }), {
    signal,
  });
  const elsewhere = all
    .flatMap(({ RepoDigests }) => RepoDigests ?? [])
    .find((name) => name.endsWith(`/${image.repository}@${image.digest}`));
  return elsewhere === undefined ? null : inspectImage(node, elsewhere, signal);
}

async function inspectImage(node: Node, reference: string, signal?: AbortSignal): Promise<LocalImage | null> {
  const found = await askFor(
    node,
    `inspecting image "${reference}"`,
    () => node.docker.getImage(reference).inspect(),
    { signal },
  );
  return found && { reference, id: found.Id, user: found.Config.User };
}

/**
 * Makes sure a node holds an image, by digest. A copy that is there is enough: the registry is not asked.
 * Throws `RolloutFailed` when the registry refuses the credentials or has no such image, or when the node's
 * disk is full; anything else may pass.
 */
export async function ensureImage(
  node: Node,
  image: ImageRef,
  credentials: Credentials,
  watch: Watch,
): Promise<LocalImage> {
  const local = await findImage(node, image, watch.signal);
  if (local) return local;
  await pull(node, image, credentials, watch);
  const pulled = await findImage(node, image, watch.signal);
  if (pulled) return pulled;
  throw new Error(
    `pulling "${referenceOn(node, image)}" on node "${node.config.name}": not there afterwards`,
  );
}

async function pull(node: Node, image: ImageRef, credentials: Credentials, watch: Watch): Promise<void> {
  const reference = referenceOn(node, image);
  const doing = `pulling "${reference}"`;
  const layers = new Layers(node.config.name);
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(), stallTimeout);
  try {
    const stream = (await node.docker.createImage(
      { ...credentials, serveraddress: node.config.registry },
      {
        fromImage: `${node.config.registry}/${image.repository}`,
        tag: image.digest,
        abortSignal: AbortSignal.any([watch.signal, stalled.signal]),
      },
    )) as IncomingMessage;
    for await (const line of linesOf(stream)) {
      timer.refresh();
      const event = JSON.parse(line) as PullEvent;
      // An engine that fails midway says so in a line of a stream that itself ends well.
      const error = event.errorDetail?.message ?? event.error;
      if (error !== undefined) throw new Error(error);
      layers.see(event);
      watch.onProgress(layers.progress());
    }
  } catch (cause) {
    watch.signal.throwIfAborted();
    if (stalled.signal.aborted) throw new Error(`${doing} on node "${node.config.name}": stalled`, { cause });
    throw classify(
      new EngineError(doing, node.config.name, undefined, reasonOf(cause), cause),
      node,
      credentials,
    );
  } finally {
    clearTimeout(timer);
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).trim();

/** Tells what trying again cannot mend from what may pass. */
function classify(error: EngineError, node: Node, { username }: Credentials): Error {
  const { reason, message } = error;
  const details = { node: node.config.name, registry: node.config.registry };
  const options = { cause: error };
  if (
    /unauthori[sz]ed|authentication required|no basic auth|access denied|\bdenied:|\b40[13]\b/i.test(reason)
  )
    return new SlipwayError(
      'RolloutFailed',
      `${message}: registry "${node.config.registry}" refused user "${username}"`,
      { ...details, username },
      options,
    );
  if (/no space left on device|disk quota exceeded/i.test(reason))
    return new SlipwayError('RolloutFailed', `disk full: ${message}`, details, options);
  if (/manifest .*unknown|name unknown|repository name not known|not found/i.test(reason))
    return new SlipwayError('RolloutFailed', `no such image: ${message}`, details, options);
  if (/max depth exceeded|no matching manifest|unsupported media type/i.test(reason))
    return new SlipwayError('RolloutFailed', message, details, options);
  return error;
}

/** One line of the stream of `POST /images/create`. */
type PullEvent = {
  id?: string;
  status?: string;
  error?: string;
  errorDetail?: { message?: string };
  progressDetail?: { current?: number; total?: number };
};

async function* linesOf(stream: IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of stream.setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield line;
  }
  if (rest.trim() !== '') yield rest;
}

/** Adds up what a pull says of each layer. */
class Layers {
  private readonly layers = new Map<string, { current: number; total: number; done: boolean }>();

  constructor(private readonly node: string) {}

  see({ id, status, progressDetail }: PullEvent): void {
    if (id === undefined || status === undefined || !/^[0-9a-f]{6,}$/.test(id)) return;
    const layer = this.layers.get(id) ?? { current: 0, total: 0, done: false };
    if (status === 'Downloading') {
      layer.current = progressDetail?.current ?? layer.current;
      layer.total = progressDetail?.total ?? layer.total;
    }
    if (status === 'Download complete') layer.current = layer.total;
    if (status === 'Pull complete' || status === 'Already exists') layer.done = true;
    this.layers.set(id, layer);
  }

  progress(): Progress {
    const all = [...this.layers.values()];
    const done = all.filter((layer) => layer.done).length;
    const message = `pulling on ${this.node}: ${done} of ${all.length} layers`;
    const total = all.reduce((sum, layer) => sum + layer.total, 0);
    if (total === 0) return { message, done, total: all.length, unit: 'layers' };
    return { message, done: all.reduce((sum, layer) => sum + layer.current, 0), total, unit: 'bytes' };
  }
}
