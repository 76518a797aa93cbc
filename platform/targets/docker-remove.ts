import { setTimeout as sleep } from 'node:timers/promises';
import { ask, askFor, EngineError, type Node } from './docker-node.js';
import { inspectContainer } from './docker-start.js';

/** Milliseconds a removal that someone else began may take. */
const removalTimeout = 60_000;

/**
 * Stops a container with SIGTERM, kills it after `grace` ms, removes it with its volumes. What is gone or is
 * being removed already is fine; returns once it is gone.
 */
export async function removeContainer(node: Node, name: string, grace: number): Promise<void> {
  const seconds = Math.ceil(grace / 1000);
  const container = node.docker.getContainer(name);
  try {
    // Answers 304 when it has ended before.
    await askFor(
      node,
      `stopping container "${name}"`,
      (abortSignal) => container.stop({ t: seconds, abortSignal }),
      {
        timeout: (seconds + 60) * 1000,
      },
    );
  } catch (error) {
    if (!(error instanceof EngineError) || (error.status !== 304 && error.status !== 409)) throw error;
  }
  const deadline = Date.now() + removalTimeout;
  for (;;) {
    try {
      await askFor(node, `removing container "${name}"`, (abortSignal) =>
        container.remove({ force: true, v: true, abortSignal }),
      );
      return;
    } catch (error) {
      // Being removed by someone else: wait for that.
      if (!(error instanceof EngineError) || error.status !== 409 || Date.now() > deadline) throw error;
      await sleep(100);
      if ((await inspectContainer(node, name)) === null) return;
    }
  }
}

/** Removes all that an installation has on a node: containers, pins and network. Images stay. */
export async function clearNode(node: Node, stack: string, label: string): Promise<void> {
  const filters = { label: [`${label}=${stack}`] };
  const containers = await ask(node, 'listing containers', (abortSignal) =>
    node.docker.listContainers({ all: true, filters, abortSignal }),
  );
  await Promise.all(containers.map(({ Id }) => removeContainer(node, Id, 1_000)));
  const networks = await ask(node, 'listing networks', (abortSignal) =>
    node.docker.listNetworks({ filters, abortSignal }),
  );
  for (const { Id, Name } of networks)
    await askFor(node, `removing network "${Name}"`, (abortSignal) =>
      node.docker.getNetwork(Id).remove({ abortSignal }),
    );
}
