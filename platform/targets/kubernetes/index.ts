import { SlipwayError } from '../../../contract/errors.js';
import type { Target } from '../index.js';
import { together } from '../together.js';
import { awaitAnswer } from './answer.js';
import { connect, namespaceOf, type ClusterOptions } from './cluster.js';
import { evidenceOf } from './evidence.js';
import { workloadName } from './names.js';
import { awaitWorkload } from './ready.js';

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
    async awaitReady(set, replicas, watch) {
      await together(replicas, watch.signal, async (replica, signal) => {
        const { node: namespace, name } = replica;
        const budget = set.spec.verify.startupBudget;
        await awaitWorkload(cluster, { namespace, name, budget }, { ...watch, signal });
        await awaitAnswer(replica, signal);
      });
    },
    traffic: notYet,
    roll: notYet,
    share: notYet,
    promote: notYet,
    restore: notYet,
    list: () => Promise.resolve([]),
    evidence: (replica, lines = 200) => evidenceOf(cluster, replica, lines),
    remove: notYet,
    withdraw: () => Promise.resolve(),
    retain: () => Promise.resolve(),
  };
}
