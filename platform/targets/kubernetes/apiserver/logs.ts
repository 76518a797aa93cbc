import type { V1Pod } from '@kubernetes/client-node';
import { cutLine } from '../../../cut-line.js';
import type { Cluster } from '../cluster.js';
import { open, textOf } from './request.js';

/** Bytes of log that are asked for, counted from the first of the lines. */
const maxBytes = 2 ** 20;
/** What a kubelet answers, as if it were the log, for a run that its node has removed meanwhile. */
const noLog = 'unable to retrieve container logs for ';
/** Milliseconds a node may take to answer. */
const timeout = 10_000;

/**
 * Last log lines of a pod's container: with `previous`, of the run before the present one, where there was one. None
 * when they are gone or the node does not answer: logs explain a failure, they are not worth another one.
 */
export async function lastLines(
  cluster: Cluster,
  { metadata }: V1Pod,
  container: string | undefined,
  { lines, previous, signal }: { lines: number; previous: boolean; signal?: AbortSignal | undefined },
): Promise<string[]> {
  const path = `/api/v1/namespaces/${metadata?.namespace}/pods/${metadata?.name}/log`;
  const query = { container, tailLines: lines, limitBytes: maxBytes, ...(previous && { previous: 'true' }) };
  const limit = AbortSignal.timeout(timeout);
  const bound = signal ? AbortSignal.any([signal, limit]) : limit;
  try {
    const text = (await textOf(await open(cluster, path, query, bound))).trimEnd();
    return text === '' || text.startsWith(noLog) ? [] : text.split('\n').map(cutLine);
  } catch {
    signal?.throwIfAborted();
    return [];
  }
}
