import type { CoreV1Event, V1Pod } from '@kubernetes/client-node';
import { SlipwayError } from '../../../../contract/errors.js';
import { tellingLine } from '../../telling.js';
import type { Cluster } from '../cluster.js';
import { lastSeen, latest, timeOf, type Finding } from './finding.js';
import { lastLines } from '../apiserver/logs.js';
import { eventsOf } from '../apiserver/selections.js';
import { listNow } from '../apiserver/watch.js';

/** Log lines that go into an error. */
const lines = 30;
/** Milliseconds that events about a pod may take; without them less is told. */
const timeout = 10_000;

/** The error a finding ends a rollout with: in words, with exit state and last log lines. */
export async function explain(
  cluster: Cluster,
  finding: Finding,
  { namespace, name, budget }: { namespace: string; name: string; budget: string },
  signal: AbortSignal,
): Promise<SlipwayError> {
  const { pod, reason, ended } = finding;
  const runs = ended !== undefined || reason === 'StartupBudget';
  const [events, logs] =
    pod && runs
      ? await Promise.all([about(cluster, pod, signal), logsOf(cluster, finding, signal)])
      : [[], []];
  const subject = pod
    ? `pod "${pod.metadata?.name}"${pod.spec?.nodeName === undefined ? '' : ` on node "${pod.spec.nodeName}"`}`
    : `Deployment "${name}" in namespace "${namespace}"`;
  return new SlipwayError('RolloutFailed', `${subject} ${textOf(finding, budget, events, logs)}`, {
    replica: name,
    pod: pod?.metadata?.name ?? null,
    node: pod?.spec?.nodeName ?? null,
    exitCode: ended?.exitCode ?? null,
    oomKilled: ended?.reason === 'OOMKilled',
    logs,
    reason,
  });
}

function textOf(
  { reason, text, ended }: Finding,
  budget: string,
  events: CoreV1Event[],
  logs: string[],
): string {
  const unhealthy = events.filter((event) => event.reason === 'Unhealthy');
  if (reason === 'StartupBudget')
    return `${text} of ${budget}; last answer: ${latest(unhealthy)?.message?.trim() ?? 'none'}`;
  if (ended === undefined || ['OOMKilled', 'StartError', 'ContainerCannotRun'].includes(reason)) return text;
  const probe = killedBy(events, timeOf(ended.startedAt));
  if (probe !== undefined) {
    const said = latest(unhealthy.filter(({ message }) => message?.toLowerCase().startsWith(probe)));
    return `was ended by its ${probe} probe: ${said?.message?.trim() ?? 'it failed'}`;
  }
  return logs.length > 0 ? `${text}: ${tellingLine(logs)}` : text;
}

/** The probe that a container was ended for since it was started: `startup` or `liveness`. */
function killedBy(events: CoreV1Event[], since: number): string | undefined {
  const kill = latest(events.filter((event) => event.reason === 'Killing' && lastSeen(event) >= since));
  return /failed (startup|liveness) probe/.exec(kill?.message ?? '')?.[1];
}

async function about(cluster: Cluster, pod: V1Pod, signal: AbortSignal): Promise<CoreV1Event[]> {
  try {
    const bound = AbortSignal.any([signal, AbortSignal.timeout(timeout)]);
    return (await listNow(cluster, eventsOf(pod), bound)).items;
  } catch {
    signal.throwIfAborted();
    return [];
  }
}

/** Of the run that failed. After its first end a container is started again at once. */
async function logsOf(
  cluster: Cluster,
  { pod, container, ended }: Finding,
  signal: AbortSignal,
): Promise<string[]> {
  const status = pod?.status?.containerStatuses?.find(({ name }) => name === container);
  if (pod === undefined) return [];
  const read = (previous: boolean) => lastLines(cluster, pod, container, { lines, previous, signal });
  if (ended === undefined || (status?.state?.terminated && status.restartCount > 0)) return await read(false);
  const before = await read(true);
  const found = before.length > 0 || status?.state?.running ? before : await read(false);
  // The end of it, where the container was made so that its status keeps it.
  return found.length > 0 ? found : (ended.message?.trimEnd().split('\n').slice(-lines) ?? []);
}
