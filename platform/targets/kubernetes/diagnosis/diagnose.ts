import type { CoreV1Event, V1Deployment, V1Pod } from '@kubernetes/client-node';
import { podFindings } from './diagnose-pod.js';
import { conditionOf, defaultGraces, isObserved, timeOf, type Finding, type Graces } from './finding.js';

/** What the cluster says about a workload. */
export type Seen = {
  deployment: V1Deployment;
  pods: V1Pod[];
  /** Warnings about its pods, as far as they are known. */
  events: CoreV1Event[];
};

/**
 * What keeps a workload from becoming ready, the surest first. Passing faults are none of it: pods that are being
 * deleted, evicted, or lost with their node are replaced.
 * @param now by the cluster's clock
 * @param budget milliseconds a container may take from its start until it is ready
 */
export function diagnose(
  { deployment, pods, events }: Seen,
  now: number,
  budget: number,
  graces = defaultGraces,
): Finding[] {
  const findings = [
    ...pods.filter((pod) => !isLeaving(pod)).flatMap((pod) => podFindings(pod, events, now, budget, graces)),
    ...refusedPods(deployment, graces),
    ...replacedAgain(pods),
    ...stuck(deployment),
  ];
  const urgency = ({ late, grace }: Finding) => (late ? Infinity : grace);
  return findings.toSorted((a, b) => urgency(a) - urgency(b) || 0);
}

/** Whether a pod is on its way out: deleted, evicted, preempted, or ended with its node. */
function isLeaving({ metadata, status }: V1Pod): boolean {
  return (
    metadata?.deletionTimestamp !== undefined ||
    status?.phase === 'Failed' ||
    conditionOf(status?.conditions, 'DisruptionTarget')?.status === 'True'
  );
}

/** Pods that the apiserver does not let the Deployment make: quota, admission, policy. */
function refusedPods(deployment: V1Deployment, graces: Graces): Finding[] {
  const condition = conditionOf(deployment.status?.conditions, 'ReplicaFailure');
  if (condition?.status !== 'True' || !isObserved(deployment)) return [];
  const why = condition.message?.trim() ?? condition.reason ?? 'for no reason given';
  const finding = (reason: string, grace: number): Finding[] => [
    { reason, text: `cannot make its pods: ${why}`, grace },
  ];
  if (/exceeded quota|failed quota/.test(why)) return finding('QuotaExceeded', graces.room);
  if (/failed calling webhook|timeout|timed out|connection refused|the object has been modified/.test(why))
    return finding('FailedCreate', graces.away);
  if (/error looking up service account|not yet ready/.test(why)) return finding('FailedCreate', graces.room);
  if (/denied (?:the )?request/.test(why)) return finding('AdmissionDenied', 0);
  return finding(condition.reason ?? 'FailedCreate', 0);
}

/** Once is a passing fault of a node; again and again it is the workload that does not fit. */
function replacedAgain(pods: V1Pod[]): Finding[] {
  const failed = pods.filter(({ status }) => status?.phase === 'Failed' && status.reason !== undefined);
  if (failed.length < 3) return [];
  const pod = failed.toSorted((a, b) => createdAt(a) - createdAt(b)).at(-1)!;
  const { reason = 'Failed', message = '' } = pod.status ?? {};
  const text = `was given up by its node (${reason}), as were ${failed.length - 1} before it: ${message.trim()}`;
  return [{ reason, text, grace: 0, pod }];
}

const createdAt = ({ metadata }: V1Pod): number => timeOf(metadata?.creationTimestamp);

function stuck(deployment: V1Deployment): Finding[] {
  const condition = conditionOf(deployment.status?.conditions, 'Progressing');
  if (condition?.reason !== 'ProgressDeadlineExceeded' || !isObserved(deployment)) return [];
  const seconds = deployment.spec?.progressDeadlineSeconds ?? 600;
  return [
    {
      reason: condition.reason,
      text: `made no progress for ${seconds} s: ${condition.message ?? ''}`,
      grace: 0,
      late: true,
    },
  ];
}
