import pLimit from 'p-limit';
import { bytes, humanBytes } from '../../contract/quantities.js';
import { labels } from '../../contract/serving.js';
import { ask, type Node } from './docker-node.js';
import { inspectContainer } from './docker-start.js';
import type { PlannedReplica, ReplicaSet } from './index.js';

/**
 * Warns of nodes whose memory is less than what this installation's containers may use together once the new ones stand
 * beside them. Limits are seldom used up, so that this refuses nothing.
 */
export async function warnOfMemory(
  node: Node,
  stack: string,
  set: ReplicaSet,
  planned: PlannedReplica[],
  signal: AbortSignal,
): Promise<string[]> {
  const there = await ask(
    node,
    'asking for its memory',
    () => node.docker.info() as Promise<{ MemTotal: number }>,
    { signal },
  );
  const running = await memoryLimits(node, stack, signal);
  const before = running.reduce((sum, limit) => sum + limit, 0);
  const more = planned.length * bytes(set.spec.resources.memory);
  if (before + more <= there.MemTotal) return [];
  const beside = running.length > 0 ? ` beside the ${humanBytes(before)} of ${running.length} others` : '';
  return [
    `no room on node "${node.config.name}": ${planned.length} new containers may use ${humanBytes(more)}${beside}, ` +
      `but it has ${humanBytes(there.MemTotal)}; lower resources.memory or replicas, or add a node`,
  ];
}

/** Bytes that each running container of the installation may use. */
async function memoryLimits(node: Node, stack: string, signal: AbortSignal): Promise<number[]> {
  const found = await ask(
    node,
    'listing containers',
    (abortSignal) =>
      node.docker.listContainers({ filters: { label: [`${labels.stack}=${stack}`] }, abortSignal }),
    { signal },
  );
  const limit = pLimit(8);
  const containers = await Promise.all(found.map(({ Id }) => limit(() => inspectContainer(node, Id))));
  return containers.flatMap((container) => (container ? [container.HostConfig.Memory ?? 0] : []));
}
