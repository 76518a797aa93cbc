import { setHeaderOptions, type V1ObjectMeta } from '@kubernetes/client-node';
import { SlipwayError } from '../../../../contract/errors.js';
import type { Strategy } from '../../../../contract/strategy.js';
import type { Replica } from '../../../../contract/pipeline.js';
import type { PlannedTakeover, ReplicaSet } from '../../index.js';
import { ask, askFor } from '../apiserver/ask.js';
import { namespaceOf, type Cluster } from '../cluster.js';
import { may } from './permissions.js';

/**
 * Makes sure that what a spec names is there: IngressClass, Secrets and their keys, claims, kinds of the Gateway API.
 * Throws `InvalidInput` or `NotFound` naming field and object; answers warnings.
 */
export async function checkReferences(
  cluster: Cluster,
  { set, strategy, live }: PlannedTakeover,
  signal: AbortSignal,
): Promise<string[]> {
  const warnings = await Promise.all([
    checkIngressClass(cluster, set, signal),
    checkTls(cluster, set, signal),
    checkEnv(cluster, set, signal),
    checkClaims(cluster, set, live, signal),
    checkTraffic(cluster, set, strategy, signal),
  ]);
  return warnings.flat();
}

async function checkIngressClass(
  cluster: Cluster,
  { spec }: ReplicaSet,
  signal: AbortSignal,
): Promise<string[]> {
  const ingress = spec.kubernetes?.ingress;
  if (!ingress) return [];
  const field = 'kubernetes.ingress.class';
  if (!(await may(cluster, { verb: 'list', group: 'networking.k8s.io', resource: 'ingressclasses' }, signal)))
    return [
      `${field}: whether it exists could not be looked up: lacks the permission to list ingressclasses`,
    ];
  const { items } = await ask(
    cluster,
    'listing ingress classes',
    () => cluster.networking.listIngressClass(),
    {
      signal,
    },
  );
  const names = items.map(({ metadata }) => metadata?.name ?? '');
  const there = names.length > 0 ? `it has ${quoted(names)}` : 'it has none: install an ingress controller';
  if (ingress.class !== undefined && !names.includes(ingress.class))
    throw new SlipwayError(
      'NotFound',
      `${field}: the cluster has no IngressClass "${ingress.class}"; ${there}`,
    );
  const isDefault = 'ingressclass.kubernetes.io/is-default-class';
  if (
    ingress.class === undefined &&
    !items.some(({ metadata }) => metadata?.annotations?.[isDefault] === 'true')
  )
    throw new SlipwayError(
      'InvalidInput',
      `${field}: name one, for the cluster has no default IngressClass; ${there}`,
    );
  return [];
}

async function checkTls(cluster: Cluster, set: ReplicaSet, signal: AbortSignal): Promise<string[]> {
  const name = set.spec.kubernetes?.ingress?.tlsSecret;
  if (name === undefined) return [];
  return await checkSecret(
    cluster,
    set,
    name,
    ['tls.crt', 'tls.key'],
    'kubernetes.ingress.tlsSecret',
    signal,
  );
}

async function checkEnv(cluster: Cluster, set: ReplicaSet, signal: AbortSignal): Promise<string[]> {
  const env = set.spec.kubernetes?.env ?? [];
  const warnings = await Promise.all(
    [...new Set(env.map(({ secret }) => secret))].map((name) => {
      const keys = env.filter(({ secret }) => secret === name).map(({ key }) => key);
      return checkSecret(cluster, set, name, keys, 'kubernetes.env', signal);
    }),
  );
  return warnings.flat();
}

/**
 * Looks at a Secret's metadata only: its values are nobody's business here. Which keys it has is told by who set them.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
 */
async function checkSecret(
  cluster: Cluster,
  { spec }: ReplicaSet,
  name: string,
  keys: string[],
  field: string,
  signal: AbortSignal,
): Promise<string[]> {
  const namespace = namespaceOf(cluster, spec);
  const partial = setHeaderOptions('Accept', 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1');
  const found = await askFor(
    cluster,
    `looking for secret "${name}" in namespace "${namespace}"`,
    () => cluster.core.readNamespacedSecret({ name, namespace }, partial),
    { signal },
  );
  if (found === null)
    throw new SlipwayError('NotFound', `${field}: there is no Secret "${name}" in namespace "${namespace}"`);
  const known = dataKeys(found.metadata);
  if (known.length === 0) return [];
  const missing = keys.filter((key) => !known.includes(key));
  if (missing.length > 0)
    throw new SlipwayError(
      'NotFound',
      `${field}: Secret "${name}" in namespace "${namespace}" has no key ${quoted(missing)}; it has ${quoted(known)}`,
    );
  return [];
}

const dataKeys = (metadata: V1ObjectMeta | undefined): string[] =>
  (metadata?.managedFields ?? []).flatMap(({ fieldsV1 }) =>
    Object.keys((fieldsV1 as Record<string, object> | undefined)?.['f:data'] ?? {}).flatMap((path) =>
      path.startsWith('f:') ? [path.slice(2)] : [],
    ),
  );

async function checkClaims(
  cluster: Cluster,
  { spec }: ReplicaSet,
  live: Replica[],
  signal: AbortSignal,
): Promise<string[]> {
  const namespace = namespaceOf(cluster, spec);
  const claims = (spec.kubernetes?.volumes ?? []).flatMap(({ name, claim }) =>
    claim === undefined ? [] : [{ volume: name, claim }],
  );
  const warnings = await Promise.all(
    claims.map(async ({ volume, claim }) => {
      const field = `kubernetes.volumes "${volume}"`;
      const found = await askFor(
        cluster,
        `looking for claim "${claim}" in namespace "${namespace}"`,
        () => cluster.core.readNamespacedPersistentVolumeClaim({ name: claim, namespace }),
        { signal },
      );
      if (found === null)
        throw new SlipwayError(
          'NotFound',
          `${field}: there is no PersistentVolumeClaim "${claim}" in namespace "${namespace}"`,
        );
      if (found.status?.phase === 'Lost')
        throw new SlipwayError('RolloutFailed', `${field}: the volume of claim "${claim}" is lost`);
      const modes = found.spec?.accessModes ?? [];
      const several = spec.replicas > 1 || live.length > 0;
      if (several && modes.every((mode) => mode === 'ReadWriteOncePod'))
        throw new SlipwayError(
          'InvalidInput',
          `${field}: claim "${claim}" is for one pod only (ReadWriteOncePod), but replicas run beside each other`,
        );
      return several && modes.every((mode) => mode.startsWith('ReadWriteOnce'))
        ? [
            `${field}: claim "${claim}" is for one node (ReadWriteOnce): replicas on another one could not start`,
          ]
        : [];
    }),
  );
  return warnings.flat();
}

async function checkTraffic(
  cluster: Cluster,
  { spec }: ReplicaSet,
  strategy: Strategy,
  signal: AbortSignal,
): Promise<string[]> {
  if (strategy.kind !== 'canary') return [];
  if (strategy.traffic === 'nginx' && !spec.kubernetes?.ingress)
    throw new SlipwayError(
      'InvalidInput',
      'strategy.traffic: "nginx" divides the requests of an Ingress: ask for one with "kubernetes.ingress"',
    );
  if (strategy.traffic !== 'httpRoute') return [];
  const groups = await askFor(
    cluster,
    'looking for the Gateway API',
    () => cluster.custom.getAPIResources({ group: 'gateway.networking.k8s.io', version: 'v1' }),
    { signal },
  );
  if (!groups?.resources.some(({ name }) => name === 'httproutes'))
    throw new SlipwayError(
      'NotFound',
      'strategy.traffic: the cluster has no HTTPRoute of gateway.networking.k8s.io/v1: install the Gateway API and a ' +
        'controller for it, or divide traffic by "gateway" or "replicas"',
    );
  return [];
}

const quoted = (names: string[]): string => names.map((name) => `"${name}"`).join(', ');
