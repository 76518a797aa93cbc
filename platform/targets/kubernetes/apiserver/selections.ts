import type { CoreV1Event, V1Deployment, V1Pod } from '@kubernetes/client-node';
import { labels } from '../objects/labels.js';
import type { Selection } from './watch.js';

/** What belongs to one workload: its Deployment, its pods, and what is said about them. */
export const deploymentNamed = (namespace: string, name: string): Selection<V1Deployment> => ({
  path: `/apis/apps/v1/namespaces/${namespace}/deployments`,
  fieldSelector: `metadata.name=${name}`,
});

export const podsOf = (namespace: string, name: string): Selection<V1Pod> => ({
  path: `/api/v1/namespaces/${namespace}/pods`,
  labelSelector: `${labels.workload}=${name}`,
});

/** Events cannot be asked for by label: those about others of the namespace are not stored. */
export const warningsAbout = (namespace: string, name: string): Selection<CoreV1Event> => ({
  path: `/api/v1/namespaces/${namespace}/events`,
  fieldSelector: 'type=Warning,involvedObject.kind=Pod',
  keep: ({ involvedObject }) => involvedObject.name?.startsWith(`${name}-`) ?? false,
});

export const eventsOf = ({ metadata }: V1Pod | V1Deployment): Selection<CoreV1Event> => ({
  path: `/api/v1/namespaces/${metadata?.namespace}/events`,
  fieldSelector: `involvedObject.uid=${metadata?.uid}`,
});
