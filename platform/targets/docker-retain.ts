import { createHash } from 'node:crypto';
import type { ImageRef } from '../../contract/names.js';
import { labels } from '../../contract/serving.js';
import { ask, askFor, EngineError, type Node } from './docker-node.js';
import { findImage } from './docker-pull.js';
import { removeContainer } from './docker-remove.js';

/**
 * Holds images on a node for rollback, and removes the repository's others there. An image is held by a container
 * that is never started: `docker image prune`, with or without `-a`, leaves alone what a container refers to.
 * An image the node never had is not fetched; one that anything still uses stays.
 */
export async function retainImages(
  node: Node,
  stack: string,
  repository: string,
  keep: ImageRef[],
): Promise<void> {
  for (const image of keep) await pin(node, stack, image);
  const kept = new Set<string>(keep.map(({ digest }) => digest));
  const stale = await unpin(node, stack, repository, kept);
  const all = await ask(node, 'listing images', (abortSignal) => node.docker.listImages({ abortSignal }));
  const prefix = `${node.config.registry}/${repository}@`;
  const others = all
    .flatMap(({ RepoDigests }) => RepoDigests ?? [])
    .filter((name) => name.startsWith(prefix) && !kept.has(name.slice(prefix.length)));
  for (const reference of new Set([...others, ...stale])) await removeImage(node, reference);
}

async function pin(node: Node, stack: string, image: ImageRef): Promise<void> {
  const local = await findImage(node, image);
  if (local === null) return;
  const held = `${image.repository}@${image.digest}`;
  const name = `slipway-${stack}-pin-${createHash('sha256').update(held).digest('hex').slice(0, 16)}`;
  try {
    await ask(node, `holding image "${held}"`, (abortSignal) =>
      node.docker.createContainer({
        name,
        Image: local.reference,
        // Never run; the engine only wants to know of some command.
        Cmd: ['true'],
        HostConfig: { NetworkMode: 'none' },
        Labels: {
          [labels.managed]: 'true',
          [labels.stack]: stack,
          [labels.role]: 'pin',
          [labels.image]: held,
        },
        abortSignal,
      }),
    );
  } catch (error) {
    // Held already; or pruned since it was found, then there is nothing to hold.
    if (!(error instanceof EngineError) || (error.status !== 409 && error.status !== 404)) throw error;
  }
}

/** Lets go of a repository's images that are no longer kept; answers the references they were held by. */
async function unpin(node: Node, stack: string, repository: string, kept: Set<string>): Promise<string[]> {
  const pins = await ask(node, 'listing pins', (abortSignal) =>
    node.docker.listContainers({
      all: true,
      filters: { label: [`${labels.stack}=${stack}`, `${labels.role}=pin`] },
      abortSignal,
    }),
  );
  const stale = pins.filter(({ Labels }) => {
    const [name, digest = ''] = (Labels[labels.image] ?? '').split('@');
    return name === repository && !kept.has(digest);
  });
  for (const { Id } of stale) await removeContainer(node, Id, 0);
  return stale.map(({ Image }) => Image);
}

async function removeImage(node: Node, reference: string): Promise<void> {
  try {
    await askFor(node, `removing image "${reference}"`, (abortSignal) =>
      node.docker.getImage(reference).remove({ abortSignal }),
    );
  } catch (error) {
    // In use: by a replica that drains, another installation, or a deployment under way.
    if (!(error instanceof EngineError) || error.status !== 409) throw error;
  }
}
