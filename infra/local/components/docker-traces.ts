import { labels } from '../../../contract/serving.js';
import { connectEngine } from '../engine.js';
import { ignoring } from './docker-containers.js';

/** Removes all that a stack made on an engine it shares: containers, networks, images out of its registry. */
export async function removeTraces(address: string, stack: string, registryPort: number): Promise<void> {
  const docker = connectEngine(address);
  const filters = { label: [`${labels.stack}=${stack}`] };
  for (const { Id } of await docker.listContainers({ all: true, filters }))
    await ignoring([404, 409], docker.getContainer(Id).remove({ force: true, v: true }));
  for (const { Id } of await docker.listNetworks({ filters }))
    await ignoring([404], docker.getNetwork(Id).remove());

  const prefix = `127.0.0.1:${registryPort}/`;
  const byLabel = new Set((await docker.listImages({ all: true, filters })).map(({ Id }) => Id));
  for (const { Id, RepoTags, RepoDigests } of await docker.listImages()) {
    const names = [...(RepoTags ?? []), ...(RepoDigests ?? [])].filter((name) => !name.startsWith('<none>'));
    const ours = names.filter((name) => name.startsWith(prefix));
    // An image that has another name too is somebody else's as well: only our name of it goes.
    if (byLabel.has(Id) || (ours.length > 0 && ours.length === names.length))
      await ignoring([404, 409], docker.getImage(Id).remove({ force: true }));
    else for (const name of ours) await ignoring([404, 409], docker.getImage(name).remove());
  }
}
