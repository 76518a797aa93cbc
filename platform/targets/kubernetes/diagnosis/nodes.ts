import type { V1Node } from '@kubernetes/client-node';
import type { Cluster } from '../cluster.js';
import { conditionOf, type Finding } from './finding.js';
import { listNow } from '../apiserver/watch.js';

/** Set and taken away by the cluster itself: https://kubernetes.io/docs/reference/labels-annotations-taints/ */
const passing =
  /^node\.(?:kubernetes\.io\/(?:not-ready|unreachable|(?:memory|disk|pid)-pressure|network-unavailable)|cloudprovider\.kubernetes\.io\/uninitialized)$/;

/**
 * Whether a finding may come from nodes that are away: a pod that no node takes for its taints (the scheduler does not
 * say which), or one that is late on a node from which nothing is heard. No, where nodes may not be read.
 */
export async function comesFromNodes(
  cluster: Cluster,
  finding: Finding,
  signal: AbortSignal,
): Promise<boolean> {
  const node = finding.late ? finding.pod?.spec?.nodeName : undefined;
  const untaken = finding.reason === 'Unschedulable' && /taint/.test(finding.text);
  if (node === undefined && !untaken) return false;
  try {
    const fieldSelector = node === undefined ? {} : { fieldSelector: `metadata.name=${node}` };
    const { items } = await listNow<V1Node>(cluster, { path: '/api/v1/nodes', ...fieldSelector }, signal);
    return items.some(
      ({ spec, status }) =>
        conditionOf(status?.conditions, 'Ready')?.status !== 'True' ||
        (node === undefined && spec?.taints?.some(({ key }) => passing.test(key))),
    );
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
