import { DiscoveryV1Api, type V1Pod } from '@kubernetes/client-node';
import type { ImageRef } from '../../contract/names.js';
import type { Replica } from '../../contract/pipeline.js';
import type { Strategy } from '../../contract/strategy.js';
import type { ReplicaSet, Takeover } from '../../platform/targets/index.js';
import type { Berth } from './berth.js';

type Spec = Parameters<Berth['set']>[1];

export const rolling = (maxSurge: number, maxUnavailable: number): Strategy => ({
  kind: 'rolling',
  maxSurge,
  maxUnavailable,
});
export const blueGreen: Strategy = { kind: 'blueGreen', keep: '10m' };
export const canary = (traffic: Extract<Strategy, { kind: 'canary' }>['traffic']): Strategy =>
  ({ kind: 'canary', steps: [{ weight: 10, pause: true }], traffic, analysis: {} }) as unknown as Strategy;

/** Releases of one service that follow each other in a berth, the way activities bring them there. */
export class Quay {
  readonly #discovery: DiscoveryV1Api;

  constructor(
    readonly berth: Berth,
    readonly image: ImageRef,
  ) {
    this.#discovery = berth.plane.kubeConfig().makeApiClient(DiscoveryV1Api);
  }

  /** Starts a set beside what is live and waits until what was started is ready. */
  async begin(token: number, strategy: Strategy, live: Replica[], spec: Spec = {}): Promise<Takeover> {
    const set: ReplicaSet = this.berth.set(this.image, spec, { token });
    const replica = await this.berth.start(set, { strategy, live });
    await this.berth.ready(set, replica);
    return { set, replicas: [replica], strategy, live };
  }

  /** A first release, live. */
  async first(spec: Spec = {}, token = 1): Promise<Replica[]> {
    const takeover = await this.begin(token, blueGreen, [], spec);
    await this.berth.target.promote(takeover, this.berth.watch());
    return takeover.replicas;
  }

  /** What the journal would hold: through JSON. */
  async before(takeover: Takeover): Promise<unknown> {
    const snapshot = await this.berth.target.traffic(takeover, this.berth.watch());
    return JSON.parse(JSON.stringify(snapshot)) as unknown;
  }

  async replicas(name: string): Promise<[wanted: number, ready: number]> {
    const { apps } = this.berth.cluster;
    const { spec, status } = await apps.readNamespacedDeployment({ name, namespace: this.berth.name });
    return [spec?.replicas ?? -1, status?.readyReplicas ?? 0];
  }

  /** Everything of the namespace that has to do with traffic, without what changes by itself. */
  async everything(): Promise<Record<string, unknown>> {
    const kinds = 'services,ingresses,hpa,pdb,deployments,serviceaccounts';
    const { items } = await this.berth.get<{ items: Object[] }>(kinds);
    return Object.fromEntries(
      items
        .filter(({ metadata }) => metadata.name !== 'default')
        .map(({ kind, metadata, spec }) => {
          const { 'slipway.dev/fence': _, ...annotations } = metadata.annotations ?? {};
          const kept = Object.entries(annotations).filter(([key]) => key.startsWith('slipway.dev/'));
          const owners = metadata.managedFields
            ?.filter(({ manager }) => manager === 'slipway')
            .map(({ operation, fieldsV1 }) => ({ operation, fieldsV1 }));
          return [
            `${kind}/${metadata.name}`,
            { labels: metadata.labels, annotations: Object.fromEntries(kept), spec, owners },
          ];
        }),
    );
  }

  /** Workloads whose pods the service's own Service sends requests to. */
  async behind(): Promise<string[]> {
    const { items } = await this.#discovery.listNamespacedEndpointSlice({
      namespace: this.berth.name,
      labelSelector: 'kubernetes.io/service-name=iris',
    });
    const pods = items.flatMap(({ endpoints }) =>
      (endpoints ?? [])
        .filter(({ conditions }) => conditions?.ready)
        .map(({ targetRef }) => targetRef?.name ?? ''),
    );
    return [...new Set(pods.map((pod) => pod.split('-').slice(0, -2).join('-')))].sort();
  }

  /** Waits until exactly these are behind the Service: the endpoints controller takes a moment. */
  async awaitBehind(...workloads: string[]): Promise<void> {
    for (const end = Date.now() + 60_000; ;) {
      const now = await this.behind();
      if (now.join() === workloads.join()) return;
      if (Date.now() > end) throw new Error(`behind the service: ${now.join()}, not ${workloads.join()}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  async pods(workload: string): Promise<V1Pod[]> {
    const { items } = await this.berth.cluster.core.listNamespacedPod({
      namespace: this.berth.name,
      labelSelector: `slipway.dev/workload=${workload}`,
    });
    return items;
  }
}

type Object = {
  kind: string;
  metadata: {
    name: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    managedFields?: { manager: string; operation: string; fieldsV1: unknown }[];
  };
  spec: unknown;
};
