import type { NodeConfig, Stack } from '../../contract/stack.js';
import { messageOf } from '../../contract/errors.js';
import { listReplicas } from './docker-list.js';
import { ask, connect } from './docker-node.js';
import type { ReplicaState } from './index.js';

/** What a node holds of an installation; `error` says why it could not be asked. */
export type NodeCount = {
  node: string;
  containers: ReplicaState[];
  /** Images of the installation's registry under its prefix, and those that builds name for their time. */
  images: { name: string; digest: string | null }[];
  error: string | null;
};

/** Counts an installation's containers and images on every node; a node that is away is part of the answer. */
export async function countNodes(stack: Stack): Promise<NodeCount[]> {
  return await Promise.all(stack.nodes.map((config) => countNode(stack, config)));
}

async function countNode({ name: stack, registry }: Stack, config: NodeConfig): Promise<NodeCount> {
  const node = connect(config);
  try {
    const containers = await listReplicas(node, stack, {});
    const listed = await ask(node, 'listing images', (abortSignal) =>
      node.docker.listImages({ abortSignal }),
    );
    const images = listed.flatMap(({ RepoDigests, RepoTags }) => {
      const digests = (RepoDigests ?? []).filter((name) =>
        name.startsWith(`${config.registry}/${registry.prefix}/`),
      );
      const tags = (RepoTags ?? []).filter((name) => name.startsWith(`slipway-build/${stack}:`));
      return [
        ...digests.map((name) => ({ name, digest: name.split('@')[1] ?? null })),
        ...tags.map((name) => ({ name, digest: null })),
      ];
    });
    return { node: config.name, containers, images, error: null };
  } catch (error) {
    return { node: config.name, containers: [], images: [], error: messageOf(error) };
  }
}
