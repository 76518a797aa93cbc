import { createHash } from 'node:crypto';
import { SlipwayError } from '../../contract/errors.js';
import { labels } from '../../contract/serving.js';
import type { NodeConfig } from '../../contract/stack.js';
import { warnOfMemory } from './docker-admit.js';
import { evidenceOf } from './docker-evidence.js';
import { listReplicas } from './docker-list.js';
import { connect, type Node } from './docker-node.js';
import { ensureImage, type Credentials } from './docker-pull.js';
import { awaitReplicas } from './docker-ready.js';
import { clearNode, removeContainer } from './docker-remove.js';
import { retainImages } from './docker-retain.js';
import type { Installation } from './docker-spec.js';
import { inspectContainer, isOurs, startReplica } from './docker-start.js';
import type { PlannedReplica, ReplicaSet, Target } from './index.js';
import { together } from './together.js';

export type DockerTargetOptions = Installation & {
  nodes: NodeConfig[];
  /** For pulling from the registry; sent to the engines only. */
  credentials: Credentials;
};

/** Runs services on a fleet of Docker engines. Errors name the node; one that is away is a passing fault. */
export function dockerTarget({ nodes: configs, credentials, ...installation }: DockerTargetOptions): Target {
  const nodes = configs.map(connect);
  const nodeNamed = (name: string): Node => {
    const node = nodes.find(({ config }) => config.name === name);
    if (node) return node;
    throw new SlipwayError('NotFound', `no node "${name}" in this installation`);
  };
  const place = (set: ReplicaSet) => placeReplicas(installation.stack, nodes, set);
  return {
    kind: 'docker',
    async admit({ set }, { signal }) {
      refuseForeign(set);
      const planned = place(set);
      const warnings = await Promise.all(
        nodes.map(async (node) => {
          const here = planned.filter(({ node: name }) => name === node.config.name);
          return here.length > 0 ? warnOfMemory(node, installation.stack, set, here, signal) : [];
        }),
      );
      return warnings.flat();
    },
    place,
    async pull(set, watch) {
      const names = [...new Set(place(set).map(({ node }) => node))];
      await together(names, watch.signal, (name, signal) =>
        ensureImage(nodeNamed(name), set.image, credentials, { ...watch, signal }),
      );
    },
    start: (set, replica, watch) =>
      startReplica({ ...installation, nodes, credentials }, nodeNamed(replica.node), set, replica, watch),
    async awaitReady(set, replicas, watch) {
      const placed = replicas.map((replica) => ({ replica, node: nodeNamed(replica.node) }));
      await awaitReplicas(set, placed, watch);
      return placed.length;
    },
    // All traffic comes through the gateway, and replicas all stand beside the old ones from the start.
    traffic: () => Promise.resolve(null),
    roll: () => Promise.resolve(),
    share: () => Promise.resolve(),
    promote: () => Promise.resolve([]),
    restore: () => Promise.resolve([]),
    withdraw: () => Promise.resolve(),
    async list(filter = {}) {
      const found = await Promise.all(nodes.map((node) => listReplicas(node, installation.stack, filter)));
      return found.flat();
    },
    evidence: ({ node, name }, lines = 200) => evidenceOf(nodeNamed(node), name, lines),
    async remove({ node: on, name }, grace) {
      const node = nodeNamed(on);
      const container = await inspectContainer(node, name);
      if (container && isOurs(container, installation.stack)) await removeContainer(node, name, grace);
      return [];
    },
    async retain(repository, keep) {
      await Promise.all(nodes.map((node) => retainImages(node, installation.stack, repository, keep)));
    },
  };
}

function refuseForeign({ spec }: ReplicaSet): void {
  if (spec.kubernetes)
    throw new SlipwayError('InvalidInput', 'kubernetes: belongs to deployments with "target": "kubernetes"');
}

/** Round robin; each service begins at a node of its own, so that the first one does not get them all. */
function placeReplicas(stack: string, nodes: readonly Node[], set: ReplicaSet): PlannedReplica[] {
  const first = createHash('sha256').update(set.grant.service).digest().readUInt32BE(0);
  const name = `slipway-${stack}-${set.release}${set.role === 'check' ? '-check' : ''}`;
  return Array.from({ length: set.spec.replicas }, (_, ordinal) => ({
    node: nodes[(first + ordinal) % nodes.length]!.config.name,
    name: `${name}-${ordinal}`,
    ordinal,
  }));
}

/** Removes all that an installation has on its nodes: containers, pins and network. Images stay. */
export async function clearInstallation(stack: string, nodes: NodeConfig[]): Promise<void> {
  await Promise.all(nodes.map((config) => clearNode(connect(config), stack, labels.stack)));
}
