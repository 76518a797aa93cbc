import type { PlannedTakeover } from '../../index.js';
import { namespaceOf, type Cluster } from '../cluster.js';
import { findRoute } from '../takeover/http-route.js';
import { workloadName } from '../objects/names.js';
import { tryOut } from './rehearse.js';
import { canaryIngressOf, stableObjects } from '../objects/stable.js';

/**
 * Has the cluster judge the objects that a takeover changes, without keeping them. Throws what it refuses with, `Conflict`
 * for one that is not this installation's, `NotFound` without the HTTPRoute that a canary is to divide.
 */
export async function rehearseTraffic(
  cluster: Cluster,
  { set, strategy, live }: PlannedTakeover,
  signal: AbortSignal,
): Promise<void> {
  if (set.role !== 'serve') return;
  const { service, token } = set.grant;
  const replica = {
    node: namespaceOf(cluster, set.spec),
    name: workloadName(service, token, set.role),
    url: '',
  };
  const of = { cluster, set, replica };
  const divided = strategy.kind === 'canary' && strategy.traffic === 'nginx' && live.length > 0;
  const objects = [...Object.values(stableObjects(of)), divided ? canaryIngressOf(of, 1) : null];
  await Promise.all(objects.flatMap((object) => (object ? [tryOut(cluster, object, signal)] : [])));
  await findRoute(cluster, { set, replicas: [replica], strategy, live }, signal);
}
