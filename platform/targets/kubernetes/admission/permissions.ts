import type { V1ResourceRule } from '@kubernetes/client-node';
import { SlipwayError } from '../../../../contract/errors.js';
import type { Strategy } from '../../../../contract/strategy.js';
import type { ReplicaSet } from '../../index.js';
import { ask } from '../apiserver/ask.js';
import type { Cluster } from '../cluster.js';
import { egressPolicyName } from '../objects/egress.js';
import { accountName, pullSecretName } from '../objects/pull-secret.js';

/** What somebody may do: `{ verbs: ['get'], group: 'apps', resource: 'deployments' }`; with `name`, to that object only. */
export type Permission = { verbs: string[]; group: string; resource: string; name?: string };

const changed = ['get', 'create', 'patch', 'delete'];

/** What shipping a set needs in its namespace. The roles of the Helm chart grant at least this. */
export function neededPermissions(
  { config, stack }: Pick<Cluster, 'config' | 'stack'>,
  { spec }: Pick<ReplicaSet, 'spec'>,
  strategy: Strategy,
): Permission[] {
  const asked = spec.kubernetes;
  const httpRoute = strategy.kind === 'canary' && strategy.traffic === 'httpRoute';
  return [
    { group: 'apps', resource: 'deployments', verbs: [...changed, 'list', 'watch'] },
    { group: '', resource: 'services', verbs: [...changed, 'list'] },
    ...ownObject('', 'serviceaccounts', accountName(stack)),
    // Also where models may call out: it is looked whether one of before has to go.
    ...ownObject('networking.k8s.io', 'networkpolicies', egressPolicyName(stack)),
    { group: '', resource: 'pods', verbs: ['get', 'list', 'watch', 'create', 'deletecollection'] },
    { group: '', resource: 'pods/log', verbs: ['get'] },
    { group: '', resource: 'events', verbs: ['list', 'watch'] },
    { group: 'policy', resource: 'poddisruptionbudgets', verbs: [...changed, 'list'] },
    { group: 'autoscaling', resource: 'horizontalpodautoscalers', verbs: [...changed, 'list'] },
    { group: 'networking.k8s.io', resource: 'ingresses', verbs: [...changed, 'list'] },
    ...(config.pullSecret ? ownObject('', 'secrets', pullSecretName(stack)) : []),
    ...secretsOf(spec).map((name) => ({ group: '', resource: 'secrets', verbs: ['get'], name })),
    ...(asked?.volumes.some(({ claim }) => claim !== undefined)
      ? [{ group: '', resource: 'persistentvolumeclaims', verbs: ['get'] }]
      : []),
    ...(httpRoute
      ? [
          {
            group: 'gateway.networking.k8s.io',
            resource: 'httproutes',
            verbs: ['get', 'list', 'create', 'patch'],
          },
        ]
      : []),
  ];
}

/** Of these kinds roles allow single objects, by name; making one they cannot restrict so. */
const ownObject = (group: string, resource: string, name: string): Permission[] => [
  { group, resource, verbs: ['create'] },
  { group, resource, verbs: changed.filter((verb) => verb !== 'create'), name },
];

/** Secrets that a spec names: read, to see that they are there. */
const secretsOf = ({ kubernetes }: ReplicaSet['spec']): string[] => [
  ...new Set([
    ...(kubernetes?.env.map(({ secret }) => secret) ?? []),
    ...(kubernetes?.ingress?.tlsSecret ? [kubernetes.ingress.tlsSecret] : []),
  ]),
];

/**
 * Throws `RolloutFailed` naming every permission that is missing in a namespace.
 * https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
 */
export async function assertPermissions(
  cluster: Cluster,
  namespace: string,
  needed: Permission[],
  signal?: AbortSignal,
): Promise<void> {
  const { status } = await ask(
    cluster,
    `asking for permissions in namespace "${namespace}"`,
    () => cluster.authorization.createSelfSubjectRulesReview({ body: { spec: { namespace } } }),
    { signal },
  );
  const rules = status?.resourceRules ?? [];
  const unsaid = needed.flatMap(({ verbs, ...what }) =>
    verbs
      .filter((verb) => !rules.some((rule) => allows(rule, verb, what)))
      .map((verb) => ({ verb, ...what })),
  );
  // Some authorizers cannot list what they allow, but answer when asked for it.
  const asked = await Promise.all(
    unsaid.map(async (one) => ({ one, allowed: await may(cluster, { ...one, namespace }, signal) })),
  );
  const missing = asked.filter(({ allowed }) => !allowed).map(({ one }) => one);
  if (missing.length === 0) return;
  const told = needed.flatMap(({ group, resource, name }) => {
    const verbs = missing.filter(
      (one) => one.group === group && one.resource === resource && one.name === name,
    );
    return verbs.length > 0
      ? [
          `${verbs.map(({ verb }) => verb).join(', ')} ${resource}${group && `.${group}`}${name ? ` "${name}"` : ''}`,
        ]
      : [];
  });
  throw new SlipwayError(
    'RolloutFailed',
    `${cluster.kubeconfig.identity} lacks permissions in namespace "${namespace}" of the cluster at ` +
      `${cluster.kubeconfig.host}: ${told.join('; ')}. A Role with them has to be bound to it`,
    { reason: 'Forbidden', namespace, missing },
  );
}

/** Asks whether one thing is allowed; without a namespace: in all of them, or of what belongs to none. */
export async function may(
  cluster: Cluster,
  {
    verb,
    group,
    resource,
    name,
    namespace,
  }: Omit<Permission, 'verbs'> & { verb: string; namespace?: string },
  signal?: AbortSignal,
): Promise<boolean> {
  const [kind, subresource] = resource.split('/');
  const resourceAttributes = {
    verb,
    group,
    resource: kind!,
    ...(name !== undefined && { name }),
    ...(subresource !== undefined && { subresource }),
    ...(namespace !== undefined && { namespace }),
  };
  const { status } = await ask(
    cluster,
    `asking whether one may ${verb} ${resource}`,
    () => cluster.authorization.createSelfSubjectAccessReview({ body: { spec: { resourceAttributes } } }),
    { signal },
  );
  return status?.allowed === true;
}

function allows(
  { verbs, apiGroups = [], resources = [], resourceNames = [] }: V1ResourceRule,
  verb: string,
  { group, resource, name }: Omit<Permission, 'verbs'>,
): boolean {
  const covers = (list: string[], one: string) => list.includes('*') || list.includes(one);
  return (
    (resourceNames.length === 0 || (name !== undefined && resourceNames.includes(name))) &&
    covers(verbs, verb) &&
    covers(apiGroups, group) &&
    covers(resources, resource)
  );
}
