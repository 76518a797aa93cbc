import type { CoreV1Event, V1ContainerStatus, V1Deployment, V1Pod } from '@kubernetes/client-node';
import { ask } from '../apiserver/ask.js';
import type { Cluster } from '../cluster.js';
import { lastSeen } from './finding.js';
import { lossOf } from '../apiserver/namespace.js';
import { lastLines } from '../apiserver/logs.js';
import { deploymentNamed, eventsOf, podsOf } from '../apiserver/selections.js';
import { listNow } from '../apiserver/watch.js';

/** Pods whose logs are read, those in trouble first; events about one object that are told. */
const [most, mostEvents] = [5, 20];
/** Milliseconds that everything together may take. */
const timeout = 20_000;

/**
 * What the cluster knows of a workload, for people: conditions of its Deployment, state of its pods, events, and the
 * last log lines of each container, those of the run before the present one too. Empty when it is gone.
 */
export async function evidenceOf(cluster: Cluster, place: Place, lines: number): Promise<string> {
  try {
    return await readEvidence(cluster, place, lines);
  } catch (error) {
    // Roles that are bound in a namespace go with it.
    if ((await lossOf(cluster, place.node).catch(() => null)) === null) throw error;
    return '';
  }
}

type Place = { node: string; name: string };

async function readEvidence(
  cluster: Cluster,
  { node: namespace, name }: Place,
  lines: number,
): Promise<string> {
  const signal = AbortSignal.timeout(timeout);
  const read = () =>
    Promise.all([
      listNow(cluster, deploymentNamed(namespace, name), signal),
      listNow(cluster, podsOf(namespace, name), signal),
    ]);
  const [{ items: deployments }, { items: pods }] = await ask(
    cluster,
    `reading evidence of "${name}"`,
    read,
    {
      timeout,
    },
  );
  const shown = pods.toSorted((a, b) => trouble(b) - trouble(a)).slice(0, most);
  const parts = await Promise.all([
    ...deployments.map((deployment) => aboutDeployment(cluster, deployment, signal)),
    ...shown.map((pod) => aboutPod(cluster, pod, lines, signal)),
  ]);
  if (pods.length > shown.length) parts.push([`and ${pods.length - shown.length} more pods`]);
  return parts.map((part) => [...part, ''].join('\n')).join('\n');
}

const statusesOf = ({ status }: V1Pod): V1ContainerStatus[] => [
  ...(status?.initContainerStatuses ?? []),
  ...(status?.containerStatuses ?? []),
];

const trouble = (pod: V1Pod): number =>
  statusesOf(pod).reduce(
    (sum, { ready, restartCount }) => sum + restartCount + (ready ? 0 : 1),
    pod.status?.phase === 'Running' ? 0 : 1,
  );

async function aboutDeployment(
  cluster: Cluster,
  deployment: V1Deployment,
  signal: AbortSignal,
): Promise<string[]> {
  const { metadata, spec, status } = deployment;
  const { replicas = 0, readyReplicas = 0, unavailableReplicas = 0 } = status ?? {};
  return [
    `Deployment ${metadata?.name} in namespace ${metadata?.namespace}: ${spec?.replicas} replicas wanted, ${replicas} there, ${readyReplicas} ready, ${unavailableReplicas} unavailable`,
    ...(status?.conditions ?? []).map(conditionLine),
    ...(await eventLines(cluster, deployment, signal)),
  ];
}

async function aboutPod(cluster: Cluster, pod: V1Pod, lines: number, signal: AbortSignal): Promise<string[]> {
  const { metadata, spec, status } = pod;
  const gone = metadata?.deletionTimestamp === undefined ? '' : ', being deleted';
  const why = [status?.reason, status?.message].filter(Boolean).join(': ');
  const logs = statusesOf(pod).map((container) => logPart(cluster, pod, container, lines, signal));
  return [
    `pod ${metadata?.name} on node ${spec?.nodeName ?? '(none)'}: ${status?.phase}${gone}${why && ` (${why})`}`,
    ...(status?.conditions ?? []).filter((condition) => condition.status !== 'True').map(conditionLine),
    ...statusesOf(pod).flatMap((container) => containerLines(pod, container)),
    ...(await eventLines(cluster, pod, signal)),
    ...(await Promise.all(logs)).flat(),
  ];
}

type Condition = { type: string; status: string; reason?: string; message?: string };

const conditionLine = ({ type, status, reason, message }: Condition): string =>
  `  ${type}: ${status}${reason === undefined ? '' : ` (${reason})`}${message ? `: ${message.trim()}` : ''}`;

function containerLines(pod: V1Pod, status: V1ContainerStatus): string[] {
  const { name, ready, restartCount, state, lastState } = status;
  // What the status calls it is no more than a number of the node's.
  const image = pod.spec?.containers.find((container) => container.name === name)?.image ?? status.image;
  const told = [
    ...(state?.waiting ? [`waiting: ${state.waiting.reason} ${state.waiting.message ?? ''}`] : []),
    ...(state?.running ? [`running since ${String(state.running.startedAt)}`] : []),
    ...[state?.terminated, lastState?.terminated].flatMap((end) =>
      end
        ? [`ended ${String(end.finishedAt)}: ${end.reason}, exit code ${end.exitCode} ${end.message ?? ''}`]
        : [],
    ),
  ];
  return [
    `container ${name}: ${ready ? 'ready' : 'not ready'}, restarts: ${restartCount}, image: ${image}`,
    ...told.map((line) => `  ${line.trim()}`),
  ];
}

async function eventLines(
  cluster: Cluster,
  object: V1Pod | V1Deployment,
  signal: AbortSignal,
): Promise<string[]> {
  const { items } = await listNow(cluster, eventsOf(object), signal);
  return items
    .toSorted((a, b) => lastSeen(a) - lastSeen(b))
    .slice(-mostEvents)
    .map((event) => `event ${new Date(lastSeen(event)).toISOString()} ${eventText(event)}`);
}

const eventText = ({ type, reason, message, count, series }: CoreV1Event): string => {
  const times = series?.count ?? count ?? 1;
  return `${type} ${reason}${times > 1 ? ` (${times} times)` : ''}: ${message?.trim() ?? ''}`;
};

/** In a container that waits to be started again, the last run is the one that the node still tells of. */
async function logPart(
  cluster: Cluster,
  pod: V1Pod,
  { name, restartCount, state }: V1ContainerStatus,
  lines: number,
  signal: AbortSignal,
): Promise<string[]> {
  const read = (previous: boolean) => lastLines(cluster, pod, name, { lines, previous, signal });
  const before = restartCount > 0 && state?.running ? await read(true) : [];
  const last = await read(false);
  return [
    ...(before.length > 0 ? ['', `log of ${name}, the run before:`, ...before] : []),
    ...(last.length > 0 ? ['', `log of ${name}:`, ...last] : []),
  ];
}
