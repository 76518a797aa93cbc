import type { Target } from '../index.js';
import { together } from '../together.js';
import { admit } from './admission/admit.js';
import { awaitAnswer } from './answer.js';
import { connect, namespaceOf, type Cluster, type ClusterOptions } from './cluster.js';
import { evidenceOf } from './diagnosis/evidence.js';
import { listWorkloads } from './apiserver/list.js';
import { workloadName } from './objects/names.js';
import { promote } from './takeover/promote.js';
import { awaitWorkload } from './ready.js';
import { removeWorkload } from './remove.js';
import { restore } from './undo/restore.js';
import { roll } from './takeover/roll.js';
import { share } from './takeover/share.js';
import { startWorkload } from './start.js';
import { snapshot } from './takeover/traffic.js';
import { withdraw } from './withdraw.js';

/** Runs services on a Kubernetes cluster: each release a Deployment with a Service of its own in front of it. */
export const kubernetesTarget = (options: ClusterOptions): Target => kubernetesTargetOn(connect(options));

/** The same on clients that exist already. */
export function kubernetesTargetOn(cluster: Cluster): Target {
  return {
    kind: 'kubernetes',
    admit: (takeover, watch) => admit(cluster, takeover, watch),
    place: (set) => [
      {
        node: namespaceOf(cluster, set.spec),
        name: workloadName(set.grant.service, set.grant.token, set.role),
        ordinal: 0,
      },
    ],
    // Nodes pull by themselves.
    pull: () => Promise.resolve(),
    start: (set, replica, watch, takeover) => startWorkload(cluster, set, replica, watch, takeover),
    async awaitReady(set, replicas, watch) {
      const counts = await together(replicas, watch.signal, async (replica, signal) => {
        const { node: namespace, name } = replica;
        const budget = set.spec.verify.startupBudget;
        const ready = await awaitWorkload(cluster, { namespace, name, budget }, { ...watch, signal });
        await awaitAnswer(replica, { ...watch, signal });
        return ready;
      });
      return counts.reduce((sum, ready) => sum + ready, 0);
    },
    traffic: (takeover, watch) => snapshot(cluster, takeover, watch),
    roll: (takeover, watch, onShare) => roll(cluster, takeover, watch, onShare),
    share: (takeover, weight, watch) => share(cluster, takeover, weight, watch),
    promote: (takeover, watch, onShare) => promote(cluster, takeover, watch, onShare),
    restore: (grant, before, watch) => restore(cluster, grant, before, watch),
    list: (filter = {}) => listWorkloads(cluster, filter),
    evidence: (replica, lines = 200) => evidenceOf(cluster, replica, lines),
    remove: (replica, grace) => removeWorkload(cluster, replica, grace),
    withdraw: (service, live) => withdraw(cluster, service, live),
    retain: () => Promise.resolve(),
  };
}
