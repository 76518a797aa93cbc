import type { V1Deployment, V1PodTemplateSpec, V1Service } from '@kubernetes/client-node';
import { milliseconds } from '../../../../contract/quantities.js';
import type { Replica } from '../../../../contract/pipeline.js';
import type { ReplicaSet, Takeover } from '../../index.js';
import type { Cluster, ImageFacts } from '../cluster.js';
import { namespaceOf } from '../cluster.js';
import { annotations, labels, rollLabel } from './labels.js';
import { workloadName } from './names.js';
import { podSpec } from './pod.js';
import { ownerLabels, type Named } from './pull-secret.js';

/** Port of every Service. */
export const servicePort = 80;

/** Labels of a set's workload and its pods, which tell what each belongs to. */
export function labelsOf(
  { stack }: Pick<Cluster, 'stack'>,
  { grant, model, role }: ReplicaSet,
): Record<string, string> {
  return {
    ...ownerLabels(stack),
    [labels.name]: grant.service,
    [labels.service]: grant.service,
    [labels.model]: model,
    [labels.workload]: workloadName(grant.service, grant.token, role),
    [labels.token]: String(grant.token),
    [labels.role]: role,
  };
}

/** Annotations of a set's workload and its pods. */
export const annotationsOf = ({
  release,
  image,
  grant: { deployment },
}: ReplicaSet): Record<string, string> => ({
  [annotations.release]: release,
  [annotations.image]: `${image.repository}@${image.digest}`,
  [annotations.deployment]: deployment.workflowId,
  [annotations.run]: deployment.runId,
});

/** The Deployment of a release, complete. */
export function deployment(
  cluster: Cluster,
  set: ReplicaSet,
  replicas: number,
  image: ImageFacts | null,
  live: Replica[] = [],
): V1Deployment & Named & { spec: { template: V1PodTemplateSpec } } {
  const name = workloadName(set.grant.service, set.grant.token, set.role);
  const labelled = labelsOf(cluster, set);
  const annotated = annotationsOf(set);
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: namespaceOf(cluster, set.spec), labels: labelled, annotations: annotated },
    spec: {
      replicas,
      selector: { matchLabels: selectorOf(cluster, name) },
      // A release is never rewritten; what replaces its pods, a node that is drained say, must not do it all at once.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      revisionHistoryLimit: 1,
      progressDeadlineSeconds: deadlineOf(set),
      template: {
        metadata: { labels: { ...labelled, ...rollLabels(name, live) }, annotations: annotated },
        spec: podSpec(cluster, set, name, image),
      },
    },
  };
}

/** One selector finds a live workload's pods and those of the release that follows it. */
const rollLabels = (workload: string, live: Replica[]): Record<string, string> =>
  Object.fromEntries([workload, ...live.map(({ name }) => name)].map((name) => [rollLabel(name), 'true']));

/** The Service in front of one release: what gateways and verification reach it by. */
export function service(cluster: Cluster, set: ReplicaSet): V1Service & Named {
  const name = workloadName(set.grant.service, set.grant.token, set.role);
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name,
      namespace: namespaceOf(cluster, set.spec),
      labels: labelsOf(cluster, set),
      annotations: annotationsOf(set),
    },
    spec: {
      type: cluster.config.reach === 'nodePort' ? 'NodePort' : 'ClusterIP',
      selector: selectorOf(cluster, name),
      ports: [{ name: 'http', port: servicePort, targetPort: 'http', protocol: 'TCP' }],
    },
  };
}

/** Finds the pods of one workload, of this installation only. */
export const selectorOf = ({ stack }: Pick<Cluster, 'stack'>, workload: string): Record<string, string> => ({
  [labels.stack]: stack,
  [labels.workload]: workload,
});

/** Beyond the start-up budget: images are pulled and pods scheduled before it begins. */
const deadlineOf = ({ spec }: ReplicaSet): number =>
  Math.ceil(milliseconds(spec.verify.startupBudget) / 1000) + 600;

/**
 * Replicas to begin with: all of them, unless they take over from live ones in the same namespace step by step.
 */
export function replicasToBegin(
  cluster: Pick<Cluster, 'config'>,
  set: ReplicaSet,
  takeover?: Pick<Takeover, 'strategy' | 'live'>,
): number {
  const { replicas } = set.spec;
  if (set.role === 'check') return 1;
  const namespace = namespaceOf(cluster, set.spec);
  if (!takeover?.live.some(({ node }) => node === namespace)) return replicas;
  const { strategy } = takeover;
  if (strategy.kind === 'rolling') return 1;
  if (strategy.kind === 'canary')
    return Math.max(1, Math.ceil((replicas * (strategy.steps[0]?.weight ?? 100)) / 100));
  return replicas;
}
