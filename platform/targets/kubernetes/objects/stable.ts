import type { V1ManagedFieldsEntry, V1ObjectMeta } from '@kubernetes/client-node';
import type { ServeSpec } from '../../../../contract/deploy.js';
import type { Replica } from '../../../../contract/pipeline.js';
import type { ReplicaSet } from '../../index.js';
import type { Cluster } from '../cluster.js';
import { annotations, labels, rollLabel } from './labels.js';
import { serviceName } from './names.js';
import type { ObjectRef } from '../apiserver/apply.js';
import { annotationsOf, selectorOf, servicePort } from './workload.js';

type Plain<T> = { [K in keyof T]: T[K] };
/** Who has set which fields of an object. */
export type Managed = Plain<V1ManagedFieldsEntry>;
/** Any object of a cluster that has a spec. */
export type Thing = ObjectRef & {
  metadata: Plain<Omit<V1ObjectMeta, 'name' | 'namespace' | 'managedFields'>> & { managedFields?: Managed[] };
  spec?: Record<string, unknown>;
};

/** The replicas' own port is reached by its name, so that it may differ between releases. */
const port = { name: 'http', port: servicePort } as const;

/** What a service's own Service selects: one workload, or a live one together with the one that follows it. */
export type Behind = { workload: string } | { roll: string };

const selected = ({ cluster }: Of, behind: Behind): Record<string, string> =>
  'workload' in behind
    ? selectorOf(cluster, behind.workload)
    : { [labels.stack]: cluster.stack, [rollLabel(behind.roll)]: 'true' };

/** The objects a service has beside its releases' own, whichever of them is live. In the order they are changed. */
export const stableKinds = {
  service: { apiVersion: 'v1', kind: 'Service' },
  ingress: { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' },
  budget: { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget' },
  autoscaler: { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler' },
} as const;
export type StableKind = keyof typeof stableKinds;

/** Name and kind of one of a service's own objects. */
export const stableRef = (kind: StableKind, namespace: string, service: string): ObjectRef => ({
  ...stableKinds[kind],
  metadata: { namespace, name: serviceName(service) },
});

/** The Ingress that divides requests by nginx's annotations while a canary is on its way. */
export const canaryIngressRef = (namespace: string, service: string): ObjectRef => ({
  ...stableKinds.ingress,
  metadata: { namespace, name: `${serviceName(service)}-canary` },
});

type Of = { cluster: Pick<Cluster, 'stack'>; set: ReplicaSet; replica: Pick<Replica, 'node' | 'name'> };

/** A service's own objects once `set` is live; null for what its spec does not ask for. */
export function stableObjects(of: Of): Record<StableKind, Thing | null> {
  return {
    service: serviceOf(of, { workload: of.replica.name }),
    ingress: ingressOf(of),
    budget: budgetOf(of, { workload: of.replica.name }),
    autoscaler: autoscalerOf(of),
  };
}

/** What clients in the cluster and the Ingress use; its selector decides which release answers. */
export function serviceOf(of: Of, behind: Behind): Thing {
  return {
    ...head(of, 'service'),
    spec: {
      type: 'ClusterIP',
      selector: selected(of, behind),
      ports: [{ ...port, targetPort: 'http', protocol: 'TCP' }],
    },
  };
}

/** How many replicas an eviction must leave. A single one that must stay would keep its node from being drained. */
export function budgetOf(of: Of, behind: Behind): Thing | null {
  const { replicas, kubernetes } = of.set.spec;
  const least = kubernetes?.minAvailable;
  if (least === undefined && (kubernetes?.autoscaling?.max ?? replicas) === 1) return null;
  return {
    ...head(of, 'budget'),
    spec: {
      selector: { matchLabels: selected(of, behind) },
      ...(least === undefined ? { maxUnavailable: 1 } : { minAvailable: least }),
    },
  };
}

function ingressOf(of: Of): Thing | null {
  const ingress = of.set.spec.kubernetes?.ingress;
  if (!ingress) return null;
  const { metadata, ...kind } = head(of, 'ingress');
  return {
    ...kind,
    metadata: { ...metadata, annotations: { ...ingress.annotations, ...metadata.annotations } },
    spec: ingressSpec(ingress, serviceName(of.set.grant.service)),
  };
}

/** Rules of an Ingress that sends its requests to this Service. */
export function ingressSpec(
  ingress: NonNullable<NonNullable<ServeSpec['kubernetes']>['ingress']>,
  service: string,
): Record<string, unknown> {
  const { host, path, tlsSecret } = ingress;
  const backend = { service: { name: service, port: { name: port.name } } };
  return {
    ...(ingress.class === undefined ? {} : { ingressClassName: ingress.class }),
    ...(tlsSecret === undefined
      ? {}
      : { tls: [{ secretName: tlsSecret, ...(host === undefined ? {} : { hosts: [host] }) }] }),
    rules: [
      {
        ...(host === undefined ? {} : { host }),
        http: { paths: [{ path, pathType: 'Prefix', backend }] },
      },
    ],
  };
}

function autoscalerOf(of: Of): Thing | null {
  const autoscaling = of.set.spec.kubernetes?.autoscaling;
  if (!autoscaling) return null;
  return {
    ...head(of, 'autoscaler'),
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: of.replica.name },
      minReplicas: autoscaling.min,
      maxReplicas: autoscaling.max,
      metrics: [
        {
          type: 'Resource',
          resource: {
            name: 'cpu',
            target: { type: 'Utilization', averageUtilization: autoscaling.cpu },
          },
        },
      ],
    },
  };
}

/** The canary Ingress of https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#canary */
export function canaryIngressOf(of: Of, weight: number): Thing | null {
  const ingress = of.set.spec.kubernetes?.ingress;
  if (!ingress) return null;
  const { metadata, ...kind } = head(of, 'ingress');
  return {
    ...kind,
    metadata: {
      ...metadata,
      name: canaryIngressRef(of.replica.node, of.set.grant.service).metadata.name,
      annotations: {
        ...metadata.annotations,
        'nginx.ingress.kubernetes.io/canary': 'true',
        'nginx.ingress.kubernetes.io/canary-weight': String(weight),
      },
    },
    spec: ingressSpec(ingress, of.replica.name),
  };
}

function head({ cluster, set, replica }: Of, kind: StableKind) {
  const { grant } = set;
  const { namespace, name } = stableRef(kind, replica.node, grant.service).metadata;
  return {
    ...stableKinds[kind],
    metadata: {
      namespace,
      name,
      labels: {
        [labels.managedBy]: 'slipway',
        [labels.name]: serviceName(grant.service),
        [labels.stack]: cluster.stack,
        [labels.service]: grant.service,
        [labels.model]: set.model,
      },
      annotations: {
        ...annotationsOf(set),
        [annotations.workload]: replica.name,
        [annotations.changed]: String(grant.token),
      },
    },
  };
}
