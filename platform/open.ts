import Docker from 'dockerode';
import type { Dispatcher } from 'undici';
import type { TargetKind } from '../contract/deploy.js';
import { SlipwayError } from '../contract/errors.js';
import type { Stack } from '../contract/stack.js';
import { guarded } from './analysis/destinations.js';
import { openCache, type Cache } from './cache.js';
import type { Catalog } from './catalog/index.js';
import { postgresCatalog } from './catalog/postgres.js';
import { imageFacts } from './images/facts.js';
import type { Registry } from './images/index.js';
import { createRegistry } from './images/registry.js';
import type { Storage } from './storage/index.js';
import { s3Storage } from './storage/s3.js';
import { dockerTarget } from './targets/docker.js';
import { engineOptions } from './targets/engine.js';
import type { Target } from './targets/index.js';
import { installationOf } from './targets/installation.js';

/** The outside world, each part behind its interface. Composed once in every process. */
export type Platform = {
  stack: Stack;
  storage: Storage;
  cache: Cache;
  registry: Registry;
  catalog: Catalog;
  /** Engine that builds source images; null: this installation has none. */
  builder: Docker | null;
  /** Sends requests to URLs that come with deployments. */
  guarded: Dispatcher;
  /** Only those that this installation has. */
  targets: { docker?: Target; kubernetes?: Target };
};

/** Opens every part of the platform. Only the catalog connects at once. */
export async function openPlatform(stack: Stack): Promise<Platform> {
  const registry = createRegistry(stack.registry);
  return {
    stack,
    storage: s3Storage(stack.s3),
    cache: await openCache(stack.cache),
    registry,
    catalog: await postgresCatalog(stack.postgres),
    guarded: guarded(stack.analysis?.allow ?? []),
    builder: stack.docker === '' ? null : new Docker(engineOptions(stack.docker)),
    targets: await openTargets(stack, registry),
  };
}

async function openTargets(stack: Stack, registry: Registry): Promise<Platform['targets']> {
  const installation = installationOf(stack);
  const targets: Platform['targets'] = {};
  if (stack.nodes.length > 0) targets.docker = dockerTarget({ ...installation, nodes: stack.nodes });
  if (stack.cluster) {
    // Loaded when there is a cluster: its client is two thirds of all code that a process would load.
    const { kubernetesTarget } = await import('./targets/kubernetes/index.js');
    targets.kubernetes = kubernetesTarget({
      ...installation,
      config: stack.cluster,
      base: stack.base,
      inspect: (image, signal) => imageFacts(registry, image, signal),
    });
  }
  return targets;
}

/** The target of this kind. Throws `InvalidInput` when this installation has none. */
export function targetOf({ targets }: Pick<Platform, 'targets'>, kind: TargetKind): Target {
  const target = targets[kind];
  if (target) return target;
  throw new SlipwayError(
    'InvalidInput',
    `target: this installation has no "${kind}"; ` +
      (kind === 'kubernetes'
        ? 'start one with "slipway up --kubernetes" or name a kubeconfig'
        : 'name "nodes" in its stack file, or deploy with target "kubernetes"'),
  );
}

export const allTargets = ({ targets }: Pick<Platform, 'targets'>): Target[] =>
  Object.values(targets).filter((target) => target !== undefined);
