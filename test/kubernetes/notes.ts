import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { V1ConfigMap } from '@kubernetes/client-node';
import { Observer } from '../../platform/targets/kubernetes/apiserver/observer.js';
import type { Selection, WatchBounds } from '../../platform/targets/kubernetes/apiserver/watch.js';
import type { Cluster } from '../../platform/targets/kubernetes/cluster.js';
import type { ControlPlane } from '../support/control-plane.js';
import { untilTrue } from '../support/until.js';
import { Wire } from '../support/wire.js';
import { Ground } from './ground.js';
import { image } from './simulated-berth.js';

type Wanted = Record<string, string>;
type Work = (until: (wanted: Wanted) => Promise<void>, stop: AbortController) => Promise<void>;

/** ConfigMaps in a namespace of their own, followed over a wire that can be cut. */
export class Notes {
  /** Version that a watch began at last. */
  begunAt = 0;

  private constructor(
    readonly folder: string,
    readonly ground: Ground,
    readonly wire: Wire,
    readonly cluster: Cluster,
  ) {
    const { requests } = cluster.kubeconfig;
    const count = requests.count.bind(requests);
    requests.count = (method, url) => {
      const query = new URL(url).searchParams;
      if (query.has('watch')) this.begunAt = Number(query.get('resourceVersion'));
      count(method, url);
    };
  }

  static async open(plane: ControlPlane): Promise<Notes> {
    const folder = await mkdtemp(join(tmpdir(), 'notes-'));
    const ground = await Ground.open(plane, image);
    const through = join(folder, 'kubeconfig');
    const wire = await Wire.lay(plane.kubeconfig, through);
    return new Notes(folder, ground, wire, ground.connect(through));
  }

  async close(): Promise<void> {
    await this.ground.close();
    await this.leave();
  }

  /** Closes what is on this machine, where the control plane goes as a whole. */
  async leave(): Promise<void> {
    await this.wire.close();
    await rm(this.folder, { recursive: true });
  }

  async write(label: string, name: string, text: string): Promise<void> {
    await this.ground.apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `${label}-${name}`, labels: { note: label } },
      data: { text },
    });
  }

  async remove(label: string, name: string): Promise<void> {
    await this.ground.kubectl('delete', 'configmap', `${label}-${name}`);
  }

  /** Answers how many requests were made since this was called. */
  asked(): () => number {
    const { requests } = this.cluster.kubeconfig;
    const before = requests.total;
    return () => requests.total - before;
  }

  lists(): number {
    return this.cluster.kubeconfig.requests.snapshot()['GET configmaps'] ?? 0;
  }

  /** Connections that are in use. */
  async busy(): Promise<number> {
    const { agent } = await this.cluster.kubeconfig.applyToFetchOptions({});
    return Object.values((agent as Agent).sockets).flat().length;
  }

  /** Follows notes of a label while `work` runs; `until` waits for what they should be. */
  async following(label: string, work: Work, bounds?: WatchBounds): Promise<void> {
    const stop = new AbortController();
    const observer = new Observer(this.cluster, 'following notes', stop.signal, bounds);
    const selection: Selection<V1ConfigMap> = {
      path: `/api/v1/namespaces/${this.ground.namespace}/configmaps`,
      labelSelector: `note=${label}`,
    };
    const followed = observer.follow(selection);
    const now = () =>
      Object.fromEntries(
        followed.all().map(({ metadata, data }) => [metadata!.name!.slice(label.length + 1), data?.['text']]),
      );
    const until = async (wanted: Wanted) => {
      const end = Date.now() + 60_000;
      for await (const _ of observer.changes(100)) {
        const same =
          JSON.stringify(Object.entries(now()).toSorted()) ===
          JSON.stringify(Object.entries(wanted).toSorted());
        if (same && followed.synced && !followed.away) return;
        if (Date.now() > end) assert.deepEqual({ ...now(), away: followed.away }, wanted);
      }
    };
    try {
      await work(until, stop);
    } finally {
      await observer.close();
    }
    // None is left.
    await untilTrue(async () => (await this.busy()) === 0, 30_000);
  }
}
