import {
  AppsV1Api,
  AuthorizationV1Api,
  AutoscalingV2Api,
  CoreV1Api,
  CustomObjectsApi,
  KubernetesObjectApi,
  NetworkingV1Api,
  PolicyV1Api,
} from '@kubernetes/client-node';
import type { ImageRef } from '../../../contract/names.js';
import type { ClusterConfig } from '../../../contract/stack.js';
import type { ImageFacts } from '../../images/facts.js';
import { Connection } from './apiserver/connection.js';

/** What every part of the Kubernetes target works with. */
export type Cluster = {
  config: ClusterConfig;
  /** Name of this installation, in labels. */
  stack: string;
  /** Explicit consent to load pickle/joblib files. */
  allowPickle: boolean;
  /** Milliseconds requests in flight may take once their pod ends. */
  drain: number;
  /** For pulling, as an imagePullSecret. */
  credentials: { username: string; password: string };
  /** Image that source images are built on: tells what a release that is yet to be built will run on. */
  base?: ImageRef;
  /** Reads an image's configuration in the registry; null when it is not there. */
  inspect?: (image: ImageRef, signal?: AbortSignal) => Promise<ImageFacts | null>;
  kubeconfig: Connection;
  core: CoreV1Api;
  apps: AppsV1Api;
  networking: NetworkingV1Api;
  autoscaling: AutoscalingV2Api;
  policy: PolicyV1Api;
  authorization: AuthorizationV1Api;
  custom: CustomObjectsApi;
  objects: KubernetesObjectApi;
};

export type { ImageFacts };

export type ClusterOptions = Pick<
  Cluster,
  'config' | 'stack' | 'allowPickle' | 'drain' | 'credentials' | 'base' | 'inspect'
>;

/** Reads the kubeconfig, or the pod's own service account; asks the cluster nothing yet. */
export function connect(options: ClusterOptions): Cluster {
  const kubeconfig = new Connection(options.config);
  return {
    ...options,
    kubeconfig,
    core: kubeconfig.makeApiClient(CoreV1Api),
    apps: kubeconfig.makeApiClient(AppsV1Api),
    networking: kubeconfig.makeApiClient(NetworkingV1Api),
    autoscaling: kubeconfig.makeApiClient(AutoscalingV2Api),
    policy: kubeconfig.makeApiClient(PolicyV1Api),
    authorization: kubeconfig.makeApiClient(AuthorizationV1Api),
    custom: kubeconfig.makeApiClient(CustomObjectsApi),
    objects: KubernetesObjectApi.makeApiClient(kubeconfig),
  };
}

/** Namespace that a set with this spec goes to. */
export const namespaceOf = (
  { config }: Pick<Cluster, 'config'>,
  spec: { kubernetes?: { namespace?: string | undefined } | undefined },
): string => spec.kubernetes?.namespace ?? config.namespace;
