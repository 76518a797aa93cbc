import { describeEffect, type JournalEntry } from '../../contract/journal.js';
import type { ReplicaState } from '../targets/index.js';
import type { Count } from './count.js';
import type { CensusItem } from './schema.js';
import type { ClusterObject } from '../targets/kubernetes/count.js';

type Verdict = Pick<CensusItem, 'accounted' | 'reason'>;
const by = (reason: string): Verdict => ({ accounted: true, reason });
const orphan = (reason: string): Verdict => ({ accounted: false, reason });

/** Says of everything that was counted what it is there for, or why it should not be so. */
export function judgeCount(count: Count): CensusItem[] {
  const { nodes, repositories, uploads, effects, routes, releases } = count;
  return [
    ...nodes.map(({ node, error }) => item('node', node, error === null ? by('answers') : orphan(error))),
    ...nodes.flatMap(({ containers }) =>
      containers.map((container) =>
        item('container', `${container.name} on ${container.node}`, judgeContainer(count, container)),
      ),
    ),
    ...judgeCluster(count),
    ...nodes.flatMap(({ node, images }) =>
      images.map((image) => item('image', `${image.name} on ${node}`, judgeImage(count, image))),
    ),
    ...repositories.flatMap(({ repository, tags }) =>
      tags.map(({ tag, digest }) =>
        item('tag', `${repository}:${tag}`, judgeTag(count, repository, tag, digest)),
      ),
    ),
    ...uploads.map(({ key, startedAt }) =>
      item('upload', key, by(`unfinished since ${startedAt}, can be resumed`)),
    ),
    ...effects.map((entry) =>
      item(
        'effect',
        `${describeEffect(entry.effect)} (${entry.service}.r${entry.token})`,
        judgeEffect(count, entry),
      ),
    ),
    ...routes.map(({ service }) => item('route', service, judgeRoute(count, service))),
    ...releases.map(({ id, image }) =>
      item(
        'release',
        id,
        count.lost.has(image.digest) ? orphan('its image is not in the registry') : by('verified and kept'),
      ),
    ),
  ];
}

function judgeCluster(count: Count): CensusItem[] {
  const { cluster } = count;
  if (!cluster) return [];
  const { error, workloads, objects } = cluster;
  const at = (namespace: string): string => `in namespace ${namespace}`;
  return [
    item('cluster', 'kubernetes', error === null ? by('answers') : orphan(error)),
    ...workloads.map((workload) =>
      item('deployment', `${workload.name} ${at(workload.node)}`, judgeContainer(count, workload)),
    ),
    ...objects.map((object) =>
      item('object', `${object.kind} ${object.name} ${at(object.namespace)}`, judgeObject(count, object)),
    ),
  ];
}

/** What belongs to a Deployment goes with it; what a service keeps, with its route; what all share, with the last one. */
function judgeObject(count: Count, { namespace, service, workload }: ClusterObject): Verdict {
  const here = count.cluster!.workloads.filter(({ node }) => node === namespace);
  if (workload !== null)
    return here.some(({ name }) => name === workload)
      ? by(`belongs to ${workload}`)
      : orphan(`its deployment ${workload} does not exist`);
  if (service === null)
    return here.length > 0
      ? by('shared by all workloads here')
      : orphan('there is no workload here any more');
  const route = count.routes.find((one) => one.service === service);
  if (route?.replicas.some(({ node }) => node === namespace)) return by(`serves ${service}`);
  const entry = count.effects.find(
    (one) => one.service === service && one.effect.kind === 'traffic' && one.effect.node === namespace,
  );
  return entry
    ? by(`made by the deployment under way "${entry.deployment}"`)
    : orphan(`service ${service} is not served from here`);
}

const item = (kind: CensusItem['kind'], name: string, verdict: Verdict): CensusItem => ({
  kind,
  name,
  ...verdict,
});

function judgeContainer(count: Count, container: ReplicaState): Verdict {
  const { node, name, role, image } = container;
  if (role === 'pin') {
    const release = count.releases.find((one) => image === `${one.image.repository}@${one.image.digest}`);
    return release ? by(`holds the image of ${release.id}`) : orphan('holds an image of no release');
  }
  const route = count.routes.find(({ replicas }) =>
    replicas.some((replica) => replica.node === node && replica.name === name),
  );
  if (route) return by(`serves ${route.service}`);
  if (count.kept.some((replica) => replica.node === node && replica.name === name))
    return by('kept for an instant way back');
  const entry = count.effects.find(
    ({ effect }) => effect.kind === 'replica' && effect.node === node && effect.name === name,
  );
  return entry
    ? by(`started by the deployment under way "${entry.deployment}"`)
    : orphan('gets no traffic and belongs to no deployment under way');
}

function judgeImage(count: Count, { name, digest }: { name: string; digest: string | null }): Verdict {
  const used = count.nodes
    .flatMap(({ containers }) => containers)
    .find(({ image }) => digest !== null && image.endsWith(`@${digest}`));
  if (used) return by(`used by ${used.name}`);
  const building = count.effects.find(({ effect }) => effect.kind === 'build' && effect.tag === name);
  if (building) return by(`being built by "${building.deployment}"`);
  return (
    (digest !== null && judgeDigest(count, digest)) ||
    orphan('no release and no deployment under way uses it')
  );
}

function judgeTag(count: Count, repository: string, tag: string, digest: string): Verdict {
  if (repository === count.base.repository && digest === count.base.digest) return by('base image');
  // Named after its content, so that the next deployment of the same source need not build.
  if (/^source-[0-9a-f]{32}$/.test(tag)) return by('source image, kept for the next build');
  return judgeDigest(count, digest) ?? orphan('no release and no deployment under way names it');
}

function judgeDigest({ base, releases, effects }: Count, digest: string): Verdict | null {
  if (digest === base.digest) return by('base image');
  const release = releases.find(({ image }) => image.digest === digest);
  if (release) return by(`image of ${release.id}`);
  const built = releases.find(({ sourceImage }) => sourceImage.digest === digest);
  if (built) return by(`source image of ${built.id}`);
  const entry = effects.find(({ effect }) => 'digest' in effect && effect.digest === digest);
  return entry ? by(`made by the deployment under way "${entry.deployment}"`) : null;
}

function judgeEffect({ services }: Count, entry: JournalEntry): Verdict {
  const record = services.find(({ service }) => service === entry.service);
  const held = record?.holder?.workflowId === entry.deployment && record.token === entry.token;
  return held
    ? by(`of the deployment under way "${entry.deployment}"`)
    : orphan(`its deployment "${entry.deployment}" holds no grant any more, so nobody will undo it`);
}

function judgeRoute({ routes, services, releases, nodes, cluster }: Count, service: string): Verdict {
  const route = routes.find((one) => one.service === service)!;
  const live = services.find((record) => record.service === service)?.live ?? null;
  if (live !== route.release)
    return orphan(`goes to ${route.release}, but the live release is ${live ?? 'none'}`);
  if (!releases.some(({ id }) => id === route.release))
    return orphan(`goes to the unknown release ${route.release}`);
  const containers = [...nodes.flatMap((node) => node.containers), ...(cluster?.workloads ?? [])];
  for (const { node, name } of route.replicas) {
    // Of a node that is away nothing is known; that is told of the node.
    if (nodes.some((one) => one.node === node && one.error !== null)) continue;
    // Whatever is on no node of ours is in the cluster.
    if (cluster?.error && !nodes.some((one) => one.node === node)) continue;
    const container = containers.find((one) => one.node === node && one.name === name);
    if (!container) return orphan(`its replica ${name} on ${node} does not exist`);
    if (!container.running) return orphan(`its replica ${name} on ${node} does not run`);
  }
  return by(`goes to ${route.release}, ${route.replicas.length} replicas`);
}
