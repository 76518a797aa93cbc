import { SlipwayError } from '../../../contract/errors.js';
import type { Target } from '../index.js';
import { connect, namespaceOf, type ClusterOptions } from './cluster.js';
import { workloadName } from './names.js';

/** Runs services on a Kubernetes cluster: each release a Deployment with a Service of its own in front of it. */
export function kubernetesTarget(options: ClusterOptions): Target {
  const cluster = connect(options);
  const notYet = (): never => {
    throw new SlipwayError('InvalidInput', 'target: "kubernetes" is not ready yet');
  };
  return {
    kind: 'kubernetes',
    admit: notYet,
    place: (set) => [
      {
        node: namespaceOf(cluster, set.spec),
        name: workloadName(set.grant.service, set.grant.token, set.role),
        ordinal: 0,
      },
    ],
    // Nodes pull by themselves.
    pull: () => Promise.resolve(),
    start: notYet,
    awaitReady: notYet,
    traffic: notYet,
    roll: notYet,
    share: notYet,
    promote: notYet,
    restore: notYet,
    list: () => Promise.resolve([]),
    evidence: notYet,
    remove: notYet,
    withdraw: () => Promise.resolve(),
    retain: () => Promise.resolve(),
  };
}
