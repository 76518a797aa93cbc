import type Docker from 'dockerode';
import pLimit from 'p-limit';
import { labels } from '../../contract/serving.js';
import { ask, urlOn, type Node } from './docker-node.js';
import { inspectContainer } from './docker-start.js';
import type { ReplicaState, Target } from './index.js';

/** An installation's containers on one node, found by label, matching all given fields. */
export async function listReplicas(
  node: Node,
  stack: string,
  filter: NonNullable<Parameters<Target['list']>[0]>,
): Promise<ReplicaState[]> {
  const wanted = { stack, ...filter };
  const label = Object.entries(wanted)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${labels[key as keyof typeof wanted]}=${value}`);
  const found = await ask(node, 'listing containers', (abortSignal) =>
    node.docker.listContainers({ all: true, filters: { label }, abortSignal }),
  );
  const limit = pLimit(8);
  const states = await Promise.all(
    found.map(({ Id }) =>
      limit(async () => {
        const container = await inspectContainer(node, Id);
        // Removed between the two calls.
        return container && stateOf(node, container);
      }),
    ),
  );
  return states.filter((state) => state !== null);
}

function stateOf(node: Node, container: Docker.ContainerInspectInfo): ReplicaState {
  const { State: state } = container;
  const label = (key: keyof typeof labels) => container.Config.Labels[labels[key]] ?? '';
  const ended = !state.Running && state.Status !== 'created';
  return {
    node: node.config.name,
    name: container.Name.replace(/^\//, ''),
    service: label('service'),
    release: label('release'),
    token: Number(label('token')),
    role: label('role'),
    deployment: label('deployment'),
    image: label('image'),
    running: state.Running,
    exitCode: ended ? state.ExitCode : null,
    oomKilled: state.OOMKilled,
    restarts: container.RestartCount,
    url: label('port') === '' ? null : urlOn(node, Number(label('port'))),
  };
}
