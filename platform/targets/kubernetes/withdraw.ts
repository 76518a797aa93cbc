import type { KubernetesObject } from '@kubernetes/client-node';
import type { Replica } from '../../../contract/pipeline.js';
import type { Cluster } from './cluster.js';
import { annotations, labels } from './objects/labels.js';
import { everywhere, listObjects, selector } from './apiserver/list.js';
import { removeExactly } from './takeover/put.js';
import { stableKinds } from './objects/stable.js';

/** Removes a service's own objects that belong to none of the live workloads. */
export async function withdraw(cluster: Cluster, service: string, live: Replica[]): Promise<void> {
  const labelSelector = selector(cluster, { [labels.service]: service });
  const found = await Promise.all(
    Object.values(stableKinds).map((of) =>
      everywhere(cluster, (namespace) =>
        listObjects(cluster, `listing ${of.kind}`, of, { namespace, labelSelector }),
      ),
    ),
  );
  await Promise.all(
    found
      .flat()
      .filter((object) => isStray(object, live))
      .map((object) => removeExactly(cluster, object)),
  );
}

/** Releases' own Services carry the label of their workload, and go with it. */
function isStray({ metadata }: KubernetesObject, live: Replica[]): boolean {
  if (metadata?.labels?.[labels.workload] !== undefined) return false;
  const workload = metadata?.annotations?.[annotations.workload];
  return !live.some(({ node, name }) => node === metadata?.namespace && name === workload);
}
