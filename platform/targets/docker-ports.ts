import { createHash } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { labels } from '../../contract/serving.js';
import { ask, EngineError, type Node } from './docker-node.js';

/**
 * Host ports for a container, in the order to try them: from a place its name decides on through the node's
 * range, without those that Slipway's containers hold, also stopped ones: they want theirs again at a restart.
 */
export async function freePorts(
  node: Node,
  nodes: readonly Node[],
  name: string,
  signal?: AbortSignal,
): Promise<number[]> {
  const held = await heldPorts(node, nodes, signal);
  const [first, last] = node.config.ports;
  const count = last - first + 1;
  const start = createHash('sha256').update(name).digest().readUInt32BE(0) % count;
  return Array.from({ length: count }, (_, step) => first + ((start + step) % count)).filter(
    (port) => !held.has(port),
  );
}

/** Ports held by any installation's containers, on this node and on those that share its address. */
async function heldPorts(node: Node, nodes: readonly Node[], signal?: AbortSignal): Promise<Set<number>> {
  const sharing = nodes.filter(({ config }) => config.address === node.config.address);
  const held = await Promise.all(
    sharing.map(async (other) => {
      try {
        const containers = await ask(
          other,
          'listing containers',
          (abortSignal) =>
            other.docker.listContainers({
              all: true,
              filters: { label: [`${labels.managed}=true`] },
              abortSignal,
            }),
          { signal },
        );
        return containers.map(({ Labels }) => Number(Labels[labels.port]));
      } catch (error) {
        // A neighbour that is away must not stop this node; a clash shows when the port is bound.
        if (other !== node && error instanceof EngineError) return [];
        throw error;
      }
    }),
  );
  return new Set(held.flat());
}

/** Address a node publishes ports on: only the one that gateways use. */
export async function publishAddress(node: Node): Promise<string> {
  const { address } = node.config;
  return isIP(address) ? address : (await lookup(address)).address;
}

/** Did starting fail because the host port is taken? */
export const isPortTaken = (error: EngineError): boolean =>
  /port is already allocated|address already in use|bind for .* failed|ports are not available/i.test(
    error.reason,
  );
