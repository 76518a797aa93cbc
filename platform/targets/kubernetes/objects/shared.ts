import type { V1NetworkPolicy, V1Secret, V1ServiceAccount } from '@kubernetes/client-node';
import { apply, assertOurs, read } from '../apiserver/apply.js';
import { ask, askFor } from '../apiserver/ask.js';
import type { Cluster } from '../cluster.js';
import { labels } from './labels.js';
import { egressPolicy, egressPolicyName, egressPolicyRef, saysSame } from './egress.js';
import { accountName, pullSecret, pullSecretName, serviceAccount } from './pull-secret.js';

/**
 * Makes sure a namespace has what all workloads of the installation in it share, with credentials and a policy that are
 * current. When cancelled it ends between two changes, and sees through the one that was asked for.
 */
export async function ensureShared(cluster: Cluster, namespace: string, signal?: AbortSignal): Promise<void> {
  const account = serviceAccount(cluster, namespace);
  const secret = pullSecret(cluster, namespace);
  const policy = egressPolicy(cluster, namespace);
  const [knownAccount, knownSecret, knownPolicy] = await Promise.all([
    read<V1ServiceAccount>(cluster, account, signal),
    secret && read<V1Secret>(cluster, secret, signal),
    policy && read<V1NetworkPolicy>(cluster, policy, signal),
  ]);
  assertOurs(cluster, knownAccount);
  assertOurs(cluster, knownSecret);
  assertOurs(cluster, knownPolicy);
  const make = async (object: typeof account | NonNullable<typeof secret> | NonNullable<typeof policy>) => {
    signal?.throwIfAborted();
    await apply(cluster, object, { force: true });
  };
  if (knownAccount?.automountServiceAccountToken !== false) await make(account);
  const current = knownSecret?.data?.['.dockerconfigjson'];
  if (secret && current !== secret.data?.['.dockerconfigjson']) await make(secret);
  // One of before would still close what is open now.
  if (policy === null) await removePolicy(cluster, namespace, signal);
  else if (!saysSame(knownPolicy, policy)) await make(policy);
}

/**
 * Removes that again once the installation has no Deployment left in the namespace. One that is being made meanwhile
 * looks for it again when it is there, as is looked for it here: one of the two finds the other.
 */
export async function removeShared(cluster: Cluster, namespace: string, signal?: AbortSignal): Promise<void> {
  if (await hasWorkloads(cluster, namespace, signal)) return;
  const account = { name: accountName(cluster.stack), namespace };
  const secret = { name: pullSecretName(cluster.stack), namespace };
  await Promise.all([
    deleteOurs(
      cluster,
      serviceAccount(cluster, namespace),
      () => cluster.core.deleteNamespacedServiceAccount(account),
      signal,
    ),
    cluster.config.pullSecret &&
      deleteOurs(
        cluster,
        pullSecret(cluster, namespace)!,
        () => cluster.core.deleteNamespacedSecret(secret),
        signal,
      ),
    removePolicy(cluster, namespace, signal),
  ]);
  if (await hasWorkloads(cluster, namespace, signal)) await ensureShared(cluster, namespace, signal);
}

const removePolicy = (cluster: Cluster, namespace: string, signal?: AbortSignal): Promise<void> =>
  deleteOurs(
    cluster,
    egressPolicyRef(cluster.stack, namespace),
    () =>
      cluster.networking.deleteNamespacedNetworkPolicy({ name: egressPolicyName(cluster.stack), namespace }),
    signal,
  );

async function hasWorkloads(cluster: Cluster, namespace: string, signal?: AbortSignal): Promise<boolean> {
  const { items } = await ask(
    cluster,
    `listing deployments in namespace "${namespace}"`,
    () =>
      cluster.apps.listNamespacedDeployment({
        namespace,
        labelSelector: `${labels.stack}=${cluster.stack}`,
        limit: 1,
      }),
    { signal },
  );
  return items.length > 0;
}

async function deleteOurs(
  cluster: Cluster,
  ref: Parameters<typeof read>[1],
  remove: () => Promise<unknown>,
  signal?: AbortSignal,
): Promise<void> {
  const known = await read(cluster, ref, signal);
  if (known?.metadata?.labels?.[labels.stack] !== cluster.stack) return;
  await askFor(cluster, `removing ${ref.kind.toLowerCase()} "${ref.metadata.name}"`, remove, { signal });
}
