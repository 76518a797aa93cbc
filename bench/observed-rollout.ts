import { setTimeout as sleep } from 'node:timers/promises';
import {
  AppsV1Api,
  CoreV1Api,
  KubeConfig,
  Watch,
  type KubernetesObject,
  type V1Deployment,
} from '@kubernetes/client-node';
import { appliedPart } from '../platform/targets/kubernetes/apiserver/applied.js';
import { fieldManager } from '../platform/targets/kubernetes/objects/labels.js';

/** A look of its own at a namespace that Deployments come and go in, one at a time. */
export type ObservedRollouts = {
  /** When the Deployment was made, and when the cluster first said it is ready, by `performance.now()`. */
  since: (began: number) => Promise<{ made: number; ready: number }>;
  /** Every object that is there now, as it was applied. */
  manifests: () => Promise<KubernetesObject[]>;
  /** Waits until no pod is left. */
  gone: () => Promise<void>;
  /** Removes the namespace. */
  close: () => Promise<void>;
};

/** Makes the namespace and watches it until it is closed. */
export async function observeRollouts(kubeconfigFile: string, namespace: string): Promise<ObservedRollouts> {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromFile(kubeconfigFile);
  const core = kubeconfig.makeApiClient(CoreV1Api);
  const apps = kubeconfig.makeApiClient(AppsV1Api);
  await core.createNamespace({ body: { metadata: { name: namespace } } });
  const seen: { at: number; type: string; deployment: V1Deployment }[] = [];
  let failure: unknown = null;
  const watching = await new Watch(kubeconfig).watch(
    `/apis/apps/v1/namespaces/${namespace}/deployments`,
    {},
    (type: string, deployment: V1Deployment) => void seen.push({ at: performance.now(), type, deployment }),
    (error: unknown) => {
      failure = error ?? new Error('the cluster ended the watch');
    },
  );
  // Pods need it; the cluster makes it a moment after the namespace.
  for (const end = performance.now() + 10_000; ; await sleep(50)) {
    const { items } = await core.listNamespacedServiceAccount({ namespace });
    if (items.some(({ metadata }) => metadata?.name === 'default')) break;
    if (performance.now() > end)
      throw new Error(`namespace "${namespace}" has no service account after 10 s`);
  }

  return {
    since: async (began) => {
      for (const end = performance.now() + 10_000; ; await sleep(20)) {
        if (failure) throw new Error(`watching namespace "${namespace}"`, { cause: failure });
        const later = seen.filter(({ at }) => at >= began);
        const made = later.find(({ type }) => type === 'ADDED');
        const ready = later.find(
          ({ deployment }) =>
            deployment.metadata?.uid === made?.deployment.metadata?.uid && isReady(deployment),
        );
        if (made && ready) {
          seen.length = 0;
          return { made: made.at, ready: ready.at };
        }
        if (performance.now() > end)
          throw new Error(`the watch of namespace "${namespace}" has seen no Deployment become ready`);
      }
    },
    manifests: async () =>
      [
        ...typed('v1', 'ServiceAccount', await core.listNamespacedServiceAccount({ namespace })),
        ...typed('v1', 'Secret', await core.listNamespacedSecret({ namespace })),
        ...typed('v1', 'Service', await core.listNamespacedService({ namespace })),
        ...typed('apps/v1', 'Deployment', await apps.listNamespacedDeployment({ namespace })),
      ]
        // Not what the cluster makes by itself.
        .filter(({ metadata }) => metadata?.managedFields?.some(({ manager }) => manager === fieldManager))
        .map((object) => appliedPart(object)),
    gone: async () => {
      for (const end = performance.now() + 120_000; ; await sleep(100)) {
        const { items } = await core.listNamespacedPod({ namespace });
        if (items.length === 0) return;
        if (performance.now() > end)
          throw new Error(
            `${items.length} pods of namespace "${namespace}" are there 120 s after their removal`,
          );
      }
    },
    close: async () => {
      watching.abort();
      await core.deleteNamespace({ name: namespace });
    },
  };
}

/** A list does not say of each item what it is. */
const typed = (
  apiVersion: string,
  kind: string,
  { items }: { items: KubernetesObject[] },
): KubernetesObject[] => items.map((item) => ({ ...item, apiVersion, kind }));

/** What `kubectl rollout status` waits for. */
function isReady({ metadata, spec, status }: V1Deployment): boolean {
  const wanted = spec?.replicas ?? 1;
  return (
    (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 1) &&
    status?.replicas === wanted &&
    status.updatedReplicas === wanted &&
    status.availableReplicas === wanted
  );
}
