import { isIPv6 } from 'node:net';
import Docker from 'dockerode';
import type { ImageRef } from '../../contract/names.js';
import type { NodeConfig } from '../../contract/stack.js';
import { engineOptions } from './engine.js';

/** An engine that runs replicas, and the client that talks to it. */
export type Node = { config: NodeConfig; docker: Docker };

/** Opens a client for a node's engine (`unix://…` or `tcp://…`). Nothing is sent yet. */
export function connect(config: NodeConfig): Node {
  return { config, docker: new Docker(engineOptions(config.docker)) };
}

/** The engine refused, or could not be reached; the message names the node. */
export class EngineError extends Error {
  override readonly name = 'EngineError';

  constructor(
    doing: string,
    readonly node: string,
    /** HTTP status of the engine's answer; undefined when there was none. */
    readonly status: number | undefined,
    /** The engine's own words. */
    readonly reason: string,
    cause?: unknown,
  ) {
    super(`${doing} on node "${node}": ${reason}`, { cause });
  }
}

/**
 * Makes one call to a node's engine, bounded in time (default: 60 s): an engine that hangs must not hang a deployment.
 * Throws {@link EngineError}; when `signal` aborts, its reason.
 * https://docs.docker.com/engine/api/v1.41/
 */
export async function ask<T>(
  node: Node,
  doing: string,
  call: (abortSignal: AbortSignal) => Promise<T>,
  { signal, timeout = 60_000 }: { signal?: AbortSignal | undefined; timeout?: number } = {},
): Promise<T> {
  const bound = AbortSignal.timeout(timeout);
  const either = signal ? AbortSignal.any([signal, bound]) : bound;
  try {
    // The client cannot abort every call itself.
    return await Promise.race([call(either), whenAborted(either)]);
  } catch (cause) {
    signal?.throwIfAborted();
    if (bound.aborted)
      throw new EngineError(
        doing,
        node.config.name,
        undefined,
        `no answer within ${timeout / 1000} s`,
        cause,
      );
    const status = statusOf(cause);
    // An answer is told in full by its reason; the client's words around it would only repeat it.
    throw new EngineError(
      doing,
      node.config.name,
      status,
      reasonOf(cause),
      status === undefined ? cause : undefined,
    );
  }
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

/** The same, but what the engine does not know (404) is null. */
export async function askFor<T>(...args: Parameters<typeof ask<T>>): Promise<T | null> {
  try {
    return await ask<T>(...args);
  } catch (error) {
    if (error instanceof EngineError && error.status === 404) return null;
    throw error;
  }
}

/** What an engine says of itself: its id, its memory in bytes, and its clock, which containers' times are told in. */
export async function engineInfo(
  node: Node,
  signal?: AbortSignal,
): Promise<{ id: string; memory: number | undefined; now: number }> {
  const info = (await ask(node, 'asking about the engine', () => node.docker.info(), { signal })) as {
    ID: string;
    MemTotal?: number;
    SystemTime: string;
  };
  return { id: info.ID, memory: info.MemTotal, now: Date.parse(info.SystemTime) };
}

function statusOf(error: unknown): number | undefined {
  const status = (error as { statusCode?: unknown }).statusCode;
  return typeof status === 'number' ? status : undefined;
}

/** What the engine said, without the client's `(HTTP code 500) server error - ` around it. */
function reasonOf(error: unknown): string {
  const body = (error as { json?: unknown }).json;
  if (typeof body === 'object' && body !== null && 'message' in body) return String(body.message).trim();
  const { message, code } = error as NodeJS.ErrnoException;
  return (message || code || String(error)).replace(/^\(HTTP code \d+\) [^-]*- /, '').trim();
}

/** `host:port/repository@sha256:…` as this node reaches the registry. */
export const referenceOn = (node: Node, image: ImageRef): string =>
  `${node.config.registry}/${image.repository}@${image.digest}`;

/** Base URL of a port published on a node. */
export const urlOn = (node: Node, port: number): string => {
  const { address } = node.config;
  return `http://${isIPv6(address) ? `[${address}]` : address}:${port}`;
};
