import type { JournalEntry } from '../../contract/journal.js';
import type { ImageRef } from '../../contract/names.js';
import type { Release, Replica, Route } from '../../contract/pipeline.js';
import type { ServiceRecord } from '../../contract/service.js';
import type { Stack } from '../../contract/stack.js';
import type { Catalog } from '../catalog/index.js';
import { registryCensus, type CountedRepository } from '../images/census.js';
import type { Registry } from '../images/index.js';
import { listUploads } from '../storage/uploads.js';
import { countNodes, type NodeCount } from '../targets/docker-count.js';
import { installationOf } from '../targets/installation.js';
import type { ClusterCount } from '../targets/kubernetes/count.js';

/** What there is, before it is judged. */
export type Count = {
  base: ImageRef;
  nodes: NodeCount[];
  /** Null: the installation has no cluster. */
  cluster: ClusterCount | null;
  repositories: CountedRepository[];
  uploads: { id: string; key: string; size: number; startedAt: string }[];
  services: ServiceRecord[];
  routes: Route[];
  /** Replicas that stay for an instant way back. */
  kept: Replica[];
  effects: JournalEntry[];
  releases: Release[];
  /** Images that some service may go back to, which the registry no longer has. */
  lost: Set<string>;
};

/** A cluster's client is loaded only where there is a cluster. */
async function clusterCount(stack: Stack): Promise<ClusterCount | null> {
  if (!stack.cluster) return null;
  const { countCluster } = await import('../targets/kubernetes/count.js');
  return await countCluster({ ...installationOf(stack), config: stack.cluster, base: stack.base });
}

/** Counts everything; the catalog last, so that what was made meanwhile is found accounted for. */
export async function countAll(stack: Stack, registry: Registry, catalog: Catalog): Promise<Count> {
  const [nodes, cluster, repositories, uploads] = await Promise.all([
    countNodes(stack),
    clusterCount(stack),
    registryCensus(
      registry,
      (repository) =>
        repository.startsWith(`${stack.registry.prefix}/`) || repository === stack.base.repository,
    ),
    listUploads(stack.s3),
  ]);
  const services = await catalog.listServices();
  const releases = (await Promise.all(services.map(({ service }) => catalog.listReleases(service)))).flat();
  const { routes } = await catalog.routes();
  const effects = await catalog.allOpenEffects();
  const kept = await Promise.all(services.map(({ service }) => catalog.keptReplicas(service)));
  return {
    base: stack.base,
    nodes,
    cluster,
    repositories,
    uploads,
    services,
    routes,
    // Expired ones are tidied by the service's owner, in a moment.
    kept: kept.flat().flatMap(({ replicas }) => replicas),
    effects,
    releases,
    lost: await lostImages(registry, services, releases),
  };
}

async function lostImages(
  registry: Registry,
  services: ServiceRecord[],
  releases: Release[],
): Promise<Set<string>> {
  const wanted = new Set(
    services.flatMap(({ live, previous, lastVerified }) => [live, previous, lastVerified]),
  );
  const lost = new Set<string>();
  for (const { id, image } of releases)
    if (wanted.has(id) && (await registry.headManifest(image.repository, image.digest)) === null)
      lost.add(image.digest);
  return lost;
}
