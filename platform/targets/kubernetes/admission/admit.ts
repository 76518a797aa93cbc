import { posix } from 'node:path';
import { SlipwayError } from '../../../../contract/errors.js';
import type { PlannedTakeover, ReplicaSet, Watch } from '../../index.js';
import { ask } from '../apiserver/ask.js';
import { checkCapacity } from './capacity.js';
import { namespaceOf, type Cluster, type ImageFacts } from '../cluster.js';
import { assertPermissions, may, neededPermissions } from './permissions.js';
import { checkReferences } from './references.js';
import { rehearse } from './rehearse.js';
import { rehearseTraffic } from './rehearse-traffic.js';
import { factsOf } from '../start.js';

/**
 * Finds out without changing anything whether a set could be rolled out so: namespace, permissions, what its spec names,
 * what the cluster says to each object, architecture and room. Throws `InvalidInput`, `NotFound`, `Conflict` or
 * `RolloutFailed` naming field or object and what is missing; answers warnings about what may still change by then.
 */
export async function admit(
  cluster: Cluster,
  takeover: PlannedTakeover,
  { onProgress, signal }: Watch,
): Promise<string[]> {
  const { set, strategy } = takeover;
  const namespace = namespaceOf(cluster, set.spec);
  onProgress({ message: `asking the cluster about namespace ${namespace}` });
  refuseOutside(cluster, set);
  await assertNamespace(cluster, namespace, signal);
  await assertPermissions(cluster, namespace, neededPermissions(cluster, set, strategy), signal);
  await assertReachable(cluster, signal);
  const warnings = await checkReferences(cluster, takeover, signal);
  const image = await factsOf(cluster, set, signal);
  onProgress({ message: `trying every object in namespace ${namespace}` });
  await rehearse(cluster, takeover, image, signal);
  await rehearseTraffic(cluster, takeover, signal);
  const platform = image ?? (await baseFacts(cluster, set, signal));
  return [...warnings, ...(await checkCapacity(cluster, takeover, platform, signal))];
}

/** An image that is yet to be built is for what its base is for. */
const baseFacts = async (
  cluster: Cluster,
  set: ReplicaSet,
  signal: AbortSignal,
): Promise<ImageFacts | null> =>
  cluster.base ? await factsOf(cluster, { ...set, image: cluster.base }, signal) : null;

/** What the installation's configuration does not allow. */
function refuseOutside({ config }: Cluster, { spec }: ReplicaSet): void {
  const namespace = spec.kubernetes?.namespace ?? config.namespace;
  if (config.namespaces && !config.namespaces.includes(namespace))
    throw new SlipwayError(
      'InvalidInput',
      `kubernetes.namespace: this installation does not ship to "${namespace}", only to ${config.namespaces.join(', ')}`,
    );
  for (const { name, hostPath } of spec.kubernetes?.volumes ?? []) {
    if (hostPath === undefined) continue;
    const allowed = config.hostPaths.some((folder) => isWithin(folder, hostPath));
    if (!allowed)
      throw new SlipwayError(
        'InvalidInput',
        `kubernetes.volumes "${name}": nodes' folder ${hostPath} must not be mounted: the installation's "hostPaths" ` +
          (config.hostPaths.length > 0 ? `allow ${config.hostPaths.join(', ')} only` : 'allow none'),
      );
  }
}

/** `/data` holds `/data` and `/data/x`, but not `/database`. */
function isWithin(folder: string, path: string): boolean {
  const [outer, inner] = [posix.resolve(folder), posix.resolve(path)];
  return inner === outer || inner.startsWith(outer === '/' ? '/' : `${outer}/`);
}

async function assertNamespace(cluster: Cluster, namespace: string, signal: AbortSignal): Promise<void> {
  // Found again by its labels later: in all namespaces, where one may look into all.
  if (!cluster.config.namespaces && namespace !== cluster.config.namespace) {
    const everywhere = { verb: 'list', group: 'apps', resource: 'deployments' };
    if (!(await may(cluster, everywhere, signal)))
      throw new SlipwayError(
        'InvalidInput',
        `kubernetes.namespace: "${namespace}" is out of sight: ${cluster.kubeconfig.identity} may not list deployments ` +
          `in all namespaces; name it in the installation's "namespaces"`,
      );
  }
  if (!(await may(cluster, { verb: 'get', group: '', resource: 'namespaces', namespace }, signal))) return;
  const found = await ask(
    cluster,
    'looking for the namespace',
    () => cluster.core.readNamespace({ name: namespace }),
    { signal },
  );
  if (found.metadata?.deletionTimestamp)
    throw new SlipwayError('RolloutFailed', `namespace "${namespace}" is being deleted`);
}

/** Where NodePorts are reached is configured, or asked of the nodes. */
async function assertReachable(cluster: Cluster, signal: AbortSignal): Promise<void> {
  const { reach, address } = cluster.config;
  if (reach !== 'nodePort' || address !== undefined) return;
  if (await may(cluster, { verb: 'list', group: '', resource: 'nodes' }, signal)) return;
  throw new SlipwayError(
    'RolloutFailed',
    `${cluster.kubeconfig.identity} may not list nodes of the cluster at ${cluster.kubeconfig.host}, to find the address ` +
      `of NodePorts: name one in the installation's "address", or reach pods by "service"`,
    { reason: 'Forbidden', verb: 'list', resource: 'nodes' },
  );
}
