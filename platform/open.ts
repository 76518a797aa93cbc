import Docker from 'dockerode';
import { milliseconds } from '../contract/quantities.js';
import type { Stack } from '../contract/stack.js';
import { openCache, type Cache } from './cache.js';
import type { Catalog } from './catalog/index.js';
import { postgresCatalog } from './catalog/postgres.js';
import type { Registry } from './images/index.js';
import { createRegistry } from './images/registry.js';
import type { Storage } from './storage/index.js';
import { s3Storage } from './storage/s3.js';
import { dockerTarget } from './targets/docker.js';
import type { Target } from './targets/index.js';
import { engineOptions } from './targets/engine.js';

/** The outside world, each part behind its interface. Composed once in every process. */
export type Platform = {
  stack: Stack;
  storage: Storage;
  cache: Cache;
  registry: Registry;
  catalog: Catalog;
  /** Engine that builds source images. */
  builder: Docker;
  targets: Record<Target['kind'], Target>;
};

/** Opens every part of the platform. Only the catalog connects at once. */
export async function openPlatform(stack: Stack): Promise<Platform> {
  return {
    stack,
    storage: s3Storage(stack.s3),
    cache: await openCache(stack.cache),
    registry: createRegistry(stack.registry),
    catalog: await postgresCatalog(stack.postgres),
    builder: new Docker(engineOptions(stack.docker)),
    targets: {
      docker: dockerTarget({
        stack: stack.name,
        nodes: stack.nodes,
        credentials: stack.registry,
        allowPickle: stack.allowPickle,
        drain: milliseconds(stack.drain),
      }),
    },
  };
}
