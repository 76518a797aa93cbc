import { after, before } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import pLimit from 'p-limit';
import { Pool } from 'undici';
import type { Replica } from '../../contract/pipeline.js';
import { BuildWorld } from '../build/world.js';
import type { Berth } from '../kubernetes/berth.js';
import { openBerth } from '../kubernetes/node-berth.js';
import { untilTrue } from '../support/until.js';
import { GatewayWorld } from './world.js';

const path = '/v1/models/iris/predict';
const headers = { 'content-type': 'application/json' };
/** Names the pod that answers. */
const code = `
import os
class k8s_api_model:
    def load(self, model_path):
        return os.uname().nodename
    def predict(self, session, input):
        return session
`;

/** Three pods of one model behind one address of a cluster, that a gateway leads to. */
export class Pods {
  world!: GatewayWorld;
  berth!: Berth;
  replica!: Replica;
  #client!: Pool;
  /** On a machine that is busy otherwise, requests wait here and not in a queue of connections. */
  readonly #limit = pLimit(64);

  private constructor() {}

  /** Called in a `describe`: they are there while its tests run. `cpu`: what each asks for. */
  static here(cpu = 0.05): Pods {
    const here = new Pods();
    const ends: (() => unknown)[] = [];
    before(async () => {
      const builds = await BuildWorld.open({ after: (end) => void ends.push(end as () => unknown) });
      const image = await (
        await builds.prepare({ model: 'gateway-pods', files: { 'k8s_api_model.py': code } })
      ).run();
      here.world = await GatewayWorld.open();
      here.#client = new Pool(here.world.gateway.url);
      here.berth = await openBerth({ drain: 5_000 });
      const { berth } = here;
      here.replica = await berth.up(berth.set(image, { replicas: 3, resources: { cpu, memory: '128Mi' } }));
      await here.world.route('iris', here.replica.url);
    });
    after(async () => {
      await here.berth?.close();
      await here.#client?.close();
      await here.world?.close();
      for (const end of ends) await end();
    });
    return here;
  }

  /** A prediction through the gateway; answers the pod that gave it. */
  readonly ask = (): Promise<string> =>
    this.#limit(async () => {
      const { statusCode, body } = await this.#client.request({
        method: 'POST',
        path,
        headers,
        body: '{"input":1}',
      });
      if (statusCode !== 200) throw new Error(`${statusCode} ${await body.text()}`);
      return ((await body.json()) as { output: string }).output;
    });

  /** Names of those that are not on their way out. */
  async names(): Promise<string[]> {
    const all = await this.#all();
    return all.filter(({ metadata }) => !metadata?.deletionTimestamp).map(({ metadata }) => metadata!.name!);
  }

  async scale(count: number): Promise<void> {
    await this.berth.kubectl('scale', `deployment/${this.replica.name}`, `--replicas=${count}`);
    await this.settled(count);
  }

  async ready(): Promise<number> {
    return (await this.#all()).filter(
      ({ metadata, status }) =>
        !metadata?.deletionTimestamp &&
        status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    ).length;
  }

  /** So many are ready, and those that end are gone. */
  async settled(count: number): Promise<void> {
    await untilTrue(async () => (await this.ready()) === count, 180_000);
    await untilTrue(async () => (await this.#all()).length === count, 120_000);
  }

  async #all(): Promise<V1Pod[]> {
    const { berth } = this;
    return (await berth.cluster.core.listNamespacedPod({ namespace: berth.name })).items;
  }
}
