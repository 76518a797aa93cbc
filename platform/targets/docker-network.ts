import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pRetry from 'p-retry';
import { labels } from '../../contract/serving.js';
import { ask, engineInfo, EngineError, type Node } from './docker-node.js';
import { chainsAreMade } from './engine.js';

/** Network of an installation's containers where they may not reach out. */
export const networkName = (stack: string): string => `slipway-${stack}`;

/**
 * Makes sure a node has the network that replicas answer on but cannot leave: published ports reach in,
 * without masquerading nothing gets out, and containers do not see each other.
 * https://docs.docker.com/network/drivers/bridge/#options
 */
export async function ensureNetwork(node: Node, stack: string, signal?: AbortSignal): Promise<void> {
  const name = networkName(stack);
  if (await exists(node, name, signal)) return;
  const { id } = await engineInfo(node, signal);
  try {
    await pRetry(() => create(node, name, bridgeName(stack, id), stack, signal), {
      retries: 10,
      minTimeout: 200,
      factor: 1,
      shouldRetry: ({ error }) => error instanceof EngineError && chainsAreMade(error.reason),
    });
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    // Someone else may have been faster; theirs shows once it is complete.
    await sleep(200, undefined, { signal });
    if (!(await exists(node, name, signal))) throw error;
  }
}

async function create(
  node: Node,
  name: string,
  bridge: string,
  stack: string,
  signal?: AbortSignal,
): Promise<void> {
  await ask(
    node,
    `creating network "${name}"`,
    (abortSignal) =>
      node.docker.createNetwork({
        Name: name,
        Driver: 'bridge',
        CheckDuplicate: true,
        Options: {
          // Engines may let two concurrent creations of one name both win; of one bridge they never do.
          'com.docker.network.bridge.name': bridge,
          'com.docker.network.bridge.enable_ip_masquerade': 'false',
          'com.docker.network.bridge.enable_icc': 'false',
        },
        Labels: { [labels.managed]: 'true', [labels.stack]: stack },
        abortSignal,
      }),
    { signal },
  );
}

/** Interfaces are named per host, which engines can share; at most 15 characters. */
const bridgeName = (stack: string, engine: string): string =>
  `slw-${createHash('sha256').update(`${engine}/${stack}`).digest('hex').slice(0, 11)}`;

async function exists(node: Node, name: string, signal?: AbortSignal): Promise<boolean> {
  const found = await ask(
    node,
    'listing networks',
    (abortSignal) => node.docker.listNetworks({ filters: { name: [name] }, abortSignal }),
    { signal },
  );
  // The engine's filter matches parts of names too.
  return found.some(({ Name }) => Name === name);
}
