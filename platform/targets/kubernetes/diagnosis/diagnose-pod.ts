import type { CoreV1Event, V1ContainerStatus, V1Pod } from '@kubernetes/client-node';
import { imageFinding } from './diagnose-image.js';
import { conditionOf, eventsAbout, latest, timeOf, type Finding, type Graces } from './finding.js';

/** Milliseconds that the kubelet's times are rounded down by. */
const resolution = 1_000;

/** What keeps one pod from becoming ready. `now` is by the cluster's clock. */
export const podFindings = (
  pod: V1Pod,
  events: CoreV1Event[],
  now: number,
  budget: number,
  graces: Graces,
): Finding[] => [
  ...containersOf(pod).flatMap((container) => ended(pod, container)),
  ...containersOf(pod).flatMap((container) => waiting(pod, container, events, graces)),
  ...unmounted(pod, events, graces),
  ...unscheduled(pod, graces),
  ...slow(pod, now, budget, graces),
];

const containersOf = ({ status }: V1Pod): V1ContainerStatus[] => [
  ...(status?.initContainerStatuses ?? []).filter(({ state }) => state?.terminated?.exitCode !== 0),
  ...(status?.containerStatuses ?? []),
];

/** A container that has ended by itself in its start, whether it has been started again since or not. */
function ended(pod: V1Pod, { name, ready, state, lastState }: V1ContainerStatus): Finding[] {
  if (ready) return [];
  const end = state?.terminated ?? lastState?.terminated;
  // How they are called when the node, not the program, went away.
  if (end === undefined || ['Unknown', 'ContainerStatusUnknown'].includes(end.reason ?? '')) return [];
  const text =
    end.reason === 'OOMKilled'
      ? `ran out of memory (limit ${memoryOf(pod, name)})`
      : end.message !== undefined && ['StartError', 'ContainerCannotRun'].includes(end.reason ?? '')
        ? `cannot run its command: ${end.message.trim()}`
        : `ended with exit code ${end.exitCode}`;
  return [{ reason: end.reason ?? 'Error', text, grace: 0, pod, container: name, ended: end }];
}

const memoryOf = ({ spec }: V1Pod, container: string): string =>
  spec?.containers.find(({ name }) => name === container)?.resources?.limits?.['memory'] ?? 'the node';

const kubeletWords = /failed to sync|timed out waiting|deadline exceeded|is reserved for/;

/** A container that the kubelet cannot start. */
function waiting(pod: V1Pod, status: V1ContainerStatus, events: CoreV1Event[], graces: Graces): Finding[] {
  const { reason, message = '' } = status.state?.waiting ?? {};
  const blame = { pod, container: status.name };
  switch (reason) {
    case 'ErrImagePull':
    case 'ImagePullBackOff':
    case 'InvalidImageName':
    case 'ErrImageNeverPull':
    case 'ImageInspectError':
    case 'SignatureValidationFailed':
      return [imageFinding(blame, status.image, reason, message, events, graces)];
    case 'CreateContainerConfigError':
    case 'CreateContainerError':
    case 'RunContainerError':
    case 'PostStartHookError':
      return [
        {
          ...blame,
          reason,
          text: `cannot be started: ${message.trim() || reason}`,
          grace: kubeletWords.test(message) ? graces.away : 0,
        },
      ];
    default:
      return [];
  }
}

const mountReasons = new Set([
  'FailedMount',
  'FailedAttachVolume',
  'FailedMapVolume',
  'FailedCreatePodSandBox',
]);

/** A pod whose volumes or network cannot be made; only events tell. */
function unmounted(pod: V1Pod, events: CoreV1Event[], graces: Graces): Finding[] {
  if (pod.status?.containerStatuses?.some(({ state }) => state?.running ?? state?.terminated)) return [];
  if (conditionOf(pod.status?.conditions, 'PodReadyToStartContainers')?.status === 'True') return [];
  const event = latest(eventsAbout(pod, events).filter(({ reason }) => mountReasons.has(reason ?? '')));
  if (event?.reason === undefined) return [];
  const text = event.message?.trim() ?? event.reason;
  const sure =
    /not found|hostPath type check failed|is not a (?:directory|file)|no such file|references non-existent/;
  const grace =
    event.reason === 'FailedMount' && sure.test(text) && !kubeletWords.test(text) ? graces.room : graces.away;
  return [
    {
      reason: event.reason,
      text: `cannot be started: ${text}`,
      grace,
      since: timeOf(event.firstTimestamp),
      pod,
    },
  ];
}

function unscheduled(pod: V1Pod, graces: Graces): Finding[] {
  const scheduled = conditionOf(pod.status?.conditions, 'PodScheduled');
  if (scheduled?.status !== 'False' || scheduled.reason !== 'Unschedulable') return [];
  const text = `cannot be scheduled: ${scheduled.message?.trim() ?? 'the scheduler gives no reason'}`;
  return [{ reason: 'Unschedulable', text, grace: graces.room, pod }];
}

/** A pod that uses up the time it has: to be ready once it runs, to run once it has a node. */
function slow(pod: V1Pod, now: number, budget: number, graces: Graces): Finding[] {
  const statuses = pod.status?.containerStatuses ?? [];
  // One that was ready before, and is not for a moment, has its time from there: it may have run for days.
  const unready = timeOf(conditionOf(pod.status?.conditions, 'Ready')?.lastTransitionTime) || 0;
  const late = statuses.find(
    ({ ready, state }) =>
      !ready &&
      state?.running &&
      now - Math.max(timeOf(state.running.startedAt), unready) > budget + resolution,
  );
  if (late)
    return [
      {
        reason: 'StartupBudget',
        text: 'was not ready within its start-up budget',
        grace: 0,
        late: true,
        pod,
        container: late.name,
      },
    ];
  const scheduled = conditionOf(pod.status?.conditions, 'PodScheduled');
  const begun = statuses.some(({ state, restartCount }) => state?.running ?? restartCount > 0);
  if (begun || scheduled?.status !== 'True' || !(now - timeOf(scheduled.lastTransitionTime) > graces.pull))
    return [];
  const { spec } = pod;
  return [
    {
      reason: 'NotStarted',
      text: `was not started on node "${spec?.nodeName}" within ${graces.pull / 60_000} minutes`,
      grace: 0,
      late: true,
      pod,
    },
  ];
}
