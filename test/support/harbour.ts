import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { DeployRequest } from '../../contract/deploy.js';
import { testCluster, type TestCluster } from './cluster.js';
import { Shipyard } from './deployments.js';
import { greeterSource, greeterWeights, type GreeterWeights } from './models.js';
import { crowded, makeRoom } from './room.js';
import { Traffic, usualRate } from './traffic.js';
import { untilTrue } from './until.js';

/** Kinds of objects that Slipway makes for a service. */
const kinds = 'deployments,services,ingresses,horizontalpodautoscalers,poddisruptionbudgets,pods,replicasets';

/** Requests that tell that a service answers. */
const some = 20;

/** A namespace of the real cluster that models are shipped to. */
export class Harbour {
  private main: string | null = null;
  private day = 0;

  private constructor(
    readonly yard: Shipyard,
    readonly cluster: TestCluster,
    readonly namespace: string,
  ) {}

  /** `worker`: with one that runs from the start. */
  static async open(options: { worker?: boolean } = {}): Promise<Harbour> {
    const yard = await Shipyard.open(options);
    const cluster = await testCluster();
    const namespace = yard.name('harbour');
    await makeRoom(cluster);
    await cluster.kubectl(['create', 'namespace', namespace]);
    await cluster.kubectl(['label', 'namespace', namespace, `${crowded}=true`]);
    return new Harbour(yard, cluster, namespace);
  }

  /** Ends all pods at once, so that the node has room for others; nobody waits for it. */
  async close(): Promise<void> {
    // A namespace gives pods all the time that they may take to end.
    await this.kubectl('delete', 'deployments,replicasets', '--all', '--cascade=orphan', '--wait=false');
    await this.kubectl('delete', 'pods', '--all', '--grace-period=1', '--wait=false');
    await this.cluster.kubectl(['delete', 'namespace', this.namespace, '--wait=false']);
    await this.yard.close();
  }

  /** What to deploy a model to this namespace with. */
  request(model: string, changes: DeployRequest | Omit<DeployRequest, 'model'> = {}): DeployRequest {
    return {
      target: 'kubernetes',
      replicas: 2,
      // Enough for 100 requests a second.
      resources: { cpu: 0.3, memory: '128Mi' },
      verify: { samples: [{ input: 'Ada', expect: 'Hello, Ada!' }] },
      ...changes,
      kubernetes: { namespace: this.namespace, ...changes.kubernetes },
      model,
    };
  }

  /** A name for a model or a service: without a hash at its end, which would give it another one in the cluster. */
  name(): string {
    return this.yard.name('m').replace('-', '');
  }

  /** Puts a model into the store, and what its weights do; answers its name. */
  async model(weights: GreeterWeights = {}): Promise<string> {
    const name = this.name();
    await this.yard.put(name, 'source', await greeterSource());
    await this.yard.put(name, 'weights', await greeterWeights(weights));
    return name;
  }

  /** Newer weights for a model; answers the date that names them. */
  async retrain(model: string, weights: GreeterWeights): Promise<string> {
    this.day += 1;
    const date = new Date(Date.UTC(2026, 0, 1 + this.day)).toISOString().slice(0, 10).replaceAll('-', '');
    await this.yard.put(model, 'weights', await greeterWeights(weights), date);
    return date;
  }

  /** Newer weights for a model, and the request that ships them if they greet as they should. */
  async newer(
    model: string,
    weights: GreeterWeights & { greeting: string },
    changes: Omit<DeployRequest, 'model'> = {},
  ): Promise<DeployRequest> {
    await this.retrain(model, weights);
    const verify = { samples: [{ input: 'Ada', expect: `${weights.greeting}, Ada!` }] };
    return this.request(model, { verify, ...changes });
  }

  /**
   * A service whose live release says Hello; always the same one, so that the node has room for all tests. Shipped only
   * when the live one says something else.
   */
  async serving(): Promise<string> {
    if (this.main === null) this.main = await this.model();
    else if (await this.says(this.main, 'Hello')) return this.main;
    else await this.retrain(this.main, {});
    const { release } = await this.yard.ship(this.request(this.main));
    await this.assertOnly(this.main, release, 2);
    return this.main;
  }

  private async says(service: string, greeting: string): Promise<boolean> {
    const answer = await this.yard.predict(service, 'Ada').catch(() => null);
    return answer === `${greeting}, Ada!`;
  }

  kubectl(...args: string[]): Promise<string> {
    return this.cluster.kubectl(['-n', this.namespace, ...args]);
  }

  /**
   * Names of all objects in the namespace that belong to a service, sorted: `deployment.apps/iris--r1`. Pods go by the
   * name of their ReplicaSet: which of its pods it is makes no difference.
   */
  async objects(service: string): Promise<string[]> {
    const names = await this.kubectl('get', kinds, '-l', `slipway.dev/service=${service}`, '-o', 'name');
    return names
      .split('\n')
      .filter(Boolean)
      .map((name) => (name.startsWith('pod/') ? name.replace(/-[^-]+$/, '') : name))
      .sort();
  }

  /** Passes when exactly one release of a service has a Deployment, with so many replicas ready, and no pod is left of others. */
  async assertOnly(service: string, release: string, replicas: number, budget = 120_000): Promise<void> {
    const wanted = release.replace('.r', '--r');
    for (const end = Date.now() + budget; ; await delay(500)) {
      const found = await this.kubectl(
        ...['get', 'deployments,pods', '-l', `slipway.dev/service=${service}`, '-o'],
        'jsonpath={range .items[*]}{.kind} {.metadata.name} {.spec.replicas} {.status.readyReplicas}{"\\n"}{end}',
      );
      const lines = found.trim().split('\n');
      const pods = lines.filter((line) => line.startsWith('Pod '));
      const workloads = lines.filter((line) => !pods.includes(line));
      const fits =
        workloads.join() === `Deployment ${wanted} ${replicas} ${replicas}` &&
        pods.length === replicas &&
        pods.every((line) => line.startsWith(`Pod ${wanted}-`));
      if (fits) return;
      if (Date.now() > end) assert.deepEqual({ workloads, pods }, `${wanted} ${replicas} ${replicas}`);
    }
  }

  /**
   * Requests at this rate from before `act` until after it, some of which are answered before and some are sent after. No
   * one may fail.
   */
  async losesNone(service: string, act: () => Promise<unknown>, perSecond = usualRate): Promise<Traffic> {
    const ask = async (): Promise<string> => String(await this.yard.predict(service, 'Ada'));
    const traffic = await Traffic.during(ask, perSecond, async (asking) => {
      await untilTrue(() => asking.ended >= some, 300_000);
      await act();
      const sent = asking.sent;
      await untilTrue(() => asking.ended >= sent + some, 300_000);
    });
    assert.deepEqual(
      traffic.failures.slice(0, 5),
      [],
      `${traffic.failures.length} of ${traffic.sent} failed`,
    );
    return traffic;
  }
}
