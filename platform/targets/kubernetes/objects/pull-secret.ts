import type { V1Secret, V1ServiceAccount } from '@kubernetes/client-node';
import type { Cluster } from '../cluster.js';
import { labels } from './labels.js';

/** Names of what all workloads of an installation in one namespace share. */
export const accountName = (stack: string): string => `slipway-${stack}`;
export const pullSecretName = (stack: string): string => `slipway-${stack}-registry`;

export const ownerLabels = (stack: string): Record<string, string> => ({
  [labels.managedBy]: 'slipway',
  [labels.stack]: stack,
});

/**
 * Credentials that nodes pull with; null where they have their own. Contains a secret: for the cluster only.
 * https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/
 */
export function pullSecret(
  { config, stack, credentials: { username, password } }: Cluster,
  namespace: string,
): (V1Secret & Named) | null {
  if (!config.pullSecret) return null;
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  const docker = JSON.stringify({ auths: { [config.registry]: { username, password, auth } } });
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: pullSecretName(stack), namespace, labels: ownerLabels(stack) },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(docker).toString('base64') },
  };
}

/** What pods run as: an account without rights, and without a token to ask the apiserver with. */
export const serviceAccount = ({ stack }: Cluster, namespace: string): V1ServiceAccount & Named => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: accountName(stack), namespace, labels: ownerLabels(stack) },
  automountServiceAccountToken: false,
});

/** An object of which it is known what it is and where. */
export type Named = { apiVersion: string; kind: string; metadata: { name: string; namespace: string } };
