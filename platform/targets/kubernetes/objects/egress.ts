import type { V1NetworkPolicy } from '@kubernetes/client-node';
import type { Cluster } from '../cluster.js';
import { labels } from './labels.js';
import { ownerLabels, type Named } from './pull-secret.js';

export const egressPolicyName = (stack: string): string => `slipway-${stack}-egress`;

export const egressPolicyRef = (stack: string, namespace: string) =>
  ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: egressPolicyName(stack), namespace },
  }) satisfies Named;

/**
 * Keeps models from opening connections, those to a DNS server included; answers to others are none. Weights and source
 * are code. Null where they may. https://kubernetes.io/docs/concepts/services-networking/network-policies/
 */
export function egressPolicy(
  { config, stack }: Cluster,
  namespace: string,
): (V1NetworkPolicy & Named) | null {
  if (config.egress === 'open') return null;
  const { metadata, ...kind } = egressPolicyRef(stack, namespace);
  return {
    ...kind,
    metadata: { ...metadata, labels: ownerLabels(stack) },
    spec: { podSelector: { matchLabels: { [labels.stack]: stack } }, policyTypes: ['Egress'], egress: [] },
  };
}

/** Does a policy as the cluster has it say the same? */
export const saysSame = (known: V1NetworkPolicy | null, wanted: V1NetworkPolicy): boolean =>
  essence(known) === essence(wanted);

/** A list without items the cluster leaves out. */
const essence = (policy: V1NetworkPolicy | null): string =>
  JSON.stringify([policy?.spec?.podSelector, policy?.spec?.policyTypes, policy?.spec?.egress ?? []]);
