import type { V1Node, V1Pod, V1Taint } from '@kubernetes/client-node';
import { SlipwayError } from '../../../../contract/errors.js';
import { bytes } from '../../../../contract/quantities.js';
import { replicasOf } from '../../../../contract/strategy.js';
import type { PlannedTakeover, ReplicaSet } from '../../index.js';
import { ask } from '../apiserver/ask.js';
import type { Cluster, ImageFacts } from '../cluster.js';
import { may } from './permissions.js';
import { amounts, combine, minus, plus, type Amounts } from '../objects/quantity.js';

/** Pods of one page of a list. */
const page = 500;

/** How many replicas there are beside those that are live, at most. */
export function replicasBeside({ set: { spec }, strategy, live }: PlannedTakeover): number {
  if (live.length === 0 || strategy.kind !== 'rolling') return spec.replicas;
  return Math.min(spec.replicas, replicasOf(strategy.maxSurge, spec.replicas, 'up'));
}

/** What to do where there is no room beside the live replicas. */
export const adviceFor = ({ strategy, live }: PlannedTakeover): string =>
  live.length === 0
    ? 'ask for fewer replicas or resources, or add a node'
    : strategy.kind === 'rolling'
      ? 'with "maxSurge": 0, "maxUnavailable": 1 each new replica takes the place of an old one'
      : 'with "strategy": {"kind": "rolling", "maxSurge": 0, "maxUnavailable": 1} each new replica takes the place of an old one';

/**
 * Looks whether nodes are for the image's architecture and have room for the replicas that come beside the live ones.
 * Throws `RolloutFailed` when no node is for the architecture. That there is no room now is a warning: nodes may be
 * added by then, by an autoscaler for instance.
 */
export async function checkCapacity(
  cluster: Cluster,
  takeover: PlannedTakeover,
  image: ImageFacts | null,
  signal: AbortSignal,
): Promise<string[]> {
  const { set, live } = takeover;
  for (const resource of ['nodes', 'pods'])
    if (!(await may(cluster, { verb: 'list', group: '', resource }, signal)))
      return [
        `whether nodes have room could not be looked up: lacks the permission to list ${resource} of the cluster`,
      ];
  const { items } = await ask(cluster, 'listing nodes', () => cluster.core.listNode(), { signal });
  const eligible = items.filter((node) => isEligible(node, set));
  if (eligible.length === 0) return [noNode(items, set)];
  const suited = eligible.filter((node) => image === null || runs(node, image));
  if (suited.length === 0) throw otherArchitecture(eligible, image!);

  const beside = replicasBeside(takeover);
  if (beside === 0) return [];
  const taken = await requestsByNode(cluster, signal);
  const free = suited.map((node) => ({
    name: node.metadata?.name ?? '',
    amounts: minus(amounts(node.status?.allocatable), taken.get(node.metadata?.name ?? '') ?? {}),
  }));
  const one = requestOf(set);
  const fitting = free.reduce((sum, node) => sum + fitsIn(node.amounts, one), 0);
  if (fitting >= beside) return [];
  const scarce = Object.keys(one).filter((name) =>
    free.every((node) => (node.amounts[name] ?? 0) < one[name]!),
  );
  const told = (scarce.length > 0 ? scarce : Object.keys(one)).filter(
    (name) => name !== 'pods' || scarce.includes(name),
  );
  const most = free.toSorted((a, b) => fitsIn(b.amounts, one) - fitsIn(a.amounts, one)).slice(0, 3);
  return [
    `no room for ${beside} more ${beside === 1 ? 'replica' : 'replicas'}${live.length > 0 ? ' beside the live ones' : ''}: ` +
      `each needs ${told.map((name) => amount(name, one[name]!)).join(' and ')}, free ` +
      `${most.map((node) => `on node "${node.name}": ${told.map((name) => amount(name, Math.max(0, node.amounts[name] ?? 0))).join(' and ')}`).join('; ')}` +
      `${fitting > 0 ? `; ${fitting} would fit` : ''}. ${capitalized(adviceFor(takeover))}`,
  ];
}

const capitalized = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** What one replica asks for; a node also has only so many pods. */
export const requestOf = ({ spec }: Pick<ReplicaSet, 'spec'>): Amounts => ({
  cpu: spec.resources.cpu,
  memory: bytes(spec.resources.memory),
  ...(spec.kubernetes?.gpus && { [spec.kubernetes.gpus.resource]: spec.kubernetes.gpus.count }),
  pods: 1,
});

/** How many of the same fit into what is free; rounding in binary must not lose one. */
export const fitsIn = (free: Amounts, one: Amounts): number =>
  Math.max(
    0,
    Math.min(...Object.entries(one).map(([name, needed]) => Math.floor((free[name] ?? 0) / needed + 1e-6))),
  );

/** `2 cpu`, `512Mi memory`, `1 nvidia.com/gpu` */
const amount = (name: string, value: number): string =>
  name === 'memory'
    ? `${Math.floor(value / 2 ** 20)}Mi memory`
    : `${Math.round(value * 1000) / 1000} ${name}`;

function isEligible({ metadata, spec }: V1Node, set: ReplicaSet): boolean {
  const { nodeSelector = {} } = set.spec.kubernetes ?? {};
  const selected = Object.entries(nodeSelector).every(
    ([label, value]) => metadata?.labels?.[label] === value,
  );
  const repelling = (spec?.taints ?? []).filter(
    (taint) => taint.effect !== 'PreferNoSchedule' && !isTolerated(taint, set),
  );
  return selected && spec?.unschedulable !== true && repelling.length === 0;
}

/** https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/ */
const isTolerated = (taint: V1Taint, { spec }: ReplicaSet): boolean =>
  (spec.kubernetes?.tolerations ?? []).some(
    ({ key, operator, value, effect }) =>
      (effect === undefined || effect === taint.effect) &&
      (key === undefined ? operator === 'Exists' : key === taint.key) &&
      (operator === 'Exists' || (value ?? '') === (taint.value ?? '')),
  );

const runs = ({ status }: V1Node, image: ImageFacts): boolean =>
  status?.nodeInfo?.architecture === image.architecture && status.nodeInfo.operatingSystem === image.os;

function noNode(nodes: V1Node[], { spec }: ReplicaSet): string {
  const { nodeSelector = {} } = spec.kubernetes ?? {};
  const asked = Object.entries(nodeSelector).map(([label, value]) => `${label}=${value}`);
  const which = asked.length > 0 ? ` has the labels ${asked.join(', ')} of kubernetes.nodeSelector and` : '';
  return `none of the ${nodes.length} nodes of the cluster${which} lets these pods in (taints, cordoned nodes)`;
}

function otherArchitecture(nodes: V1Node[], { os, architecture }: ImageFacts): SlipwayError {
  const there = nodes.map(
    ({ status }) => `${status?.nodeInfo?.operatingSystem}/${status?.nodeInfo?.architecture}`,
  );
  return new SlipwayError(
    'RolloutFailed',
    `the image is for ${os}/${architecture}, but the nodes are ${[...new Set(there)].join(', ')}: build it for these`,
    { image: `${os}/${architecture}`, nodes: [...new Set(there)] },
  );
}

/** What pods have reserved on each node; page by page, as there may be thousands. */
async function requestsByNode(cluster: Cluster, signal: AbortSignal): Promise<Map<string, Amounts>> {
  const taken = new Map<string, Amounts>();
  const fieldSelector = 'status.phase!=Succeeded,status.phase!=Failed';
  let _continue: string | undefined;
  do {
    const list = await ask(
      cluster,
      'listing pods',
      () =>
        cluster.core.listPodForAllNamespaces({
          fieldSelector,
          limit: page,
          ...(_continue !== undefined && { _continue }),
        }),
      { signal },
    );
    for (const pod of list.items) {
      const node = pod.spec?.nodeName;
      if (node) taken.set(node, plus(taken.get(node) ?? {}, reservedBy(pod)));
    }
    _continue = list.metadata?._continue || undefined;
  } while (_continue !== undefined);
  return taken;
}

/** https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers */
function reservedBy({ spec }: V1Pod): Amounts {
  const sum = (containers: { resources?: { requests?: Record<string, string> } }[]) =>
    containers.map(({ resources }) => amounts(resources?.requests)).reduce(plus, {});
  const starting = spec?.initContainers ?? [];
  const sidecars = starting.filter(({ restartPolicy }) => restartPolicy === 'Always');
  const running = plus(sum(spec?.containers ?? []), sum(sidecars));
  const before = starting
    .filter((one) => !sidecars.includes(one))
    .map(({ resources }) => amounts(resources?.requests))
    .reduce((most, one) => combine(most, one, Math.max), {});
  return plus(plus(combine(running, before, Math.max), amounts(spec?.overhead)), { pods: 1 });
}
