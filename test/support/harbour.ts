import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { DeployRequest } from '../../contract/deploy.js';
import { testCluster, type TestCluster } from './cluster.js';
import { Shipyard } from './deployments.js';
import { greeterSource, greeterWeights, type GreeterWeights } from './models.js';
import { Traffic } from './traffic.js';

/** Kinds of objects that Slipway makes for a service. */
const kinds = 'deployments,services,ingresses,horizontalpodautoscalers,poddisruptionbudgets,pods,replicasets';

/** A namespace of the real cluster that models are shipped to. */
export class Harbour {
  private main: string | null = null;
  private day = 0;

  private constructor(
    readonly yard: Shipyard,
    readonly cluster: TestCluster,
    readonly namespace: string,
  ) {}

  static async open(): Promise<Harbour> {
    const yard = await Shipyard.open();
    const cluster = await testCluster();
    const namespace = yard.name('harbour');
    await cluster.kubectl(['create', 'namespace', namespace]);
    return new Harbour(yard, cluster, namespace);
  }

  /** Waits until all is gone: what is missing then is no news for the next test. */
  async close(): Promise<void> {
    // A namespace with pods that may take their time to end looks again only after half of it.
    await this.kubectl('delete', 'deployments,replicasets', '--all', '--cascade=orphan');
    await this.kubectl('delete', 'pods', '--all', '--grace-period=1', '--timeout=60s');
    await this.cluster.kubectl(['delete', 'namespace', this.namespace, '--timeout=180s']);
    await this.yard.close();
  }

  /** What to deploy a model to this namespace with. */
  request(model: string, changes: DeployRequest | Omit<DeployRequest, 'model'> = {}): DeployRequest {
    return {
      target: 'kubernetes',
      replicas: 2,
      // Enough for 100 requests a second, and little enough for two sets on a small machine.
      resources: { cpu: 0.3, memory: '128Mi' },
      verify: { samples: [{ input: 'Ada', expect: 'Hello, Ada!' }] },
      ...changes,
      kubernetes: { namespace: this.namespace, ...changes.kubernetes },
      model,
    };
  }

  /** Puts a model into the store, and what its weights do; answers its name. */
  async model(weights: GreeterWeights = {}): Promise<string> {
    // Without a hash at its end, which would give it another name in the cluster.
    const name = this.yard.name('m').replace('-', '');
    await this.yard.put(name, 'source', await greeterSource());
    await this.yard.put(name, 'weights', await greeterWeights(weights));
    return name;
  }

  /** Newer weights for a model. */
  async retrain(model: string, weights: GreeterWeights): Promise<void> {
    this.day += 1;
    const date = new Date(Date.UTC(2026, 0, 1 + this.day)).toISOString().slice(0, 10).replaceAll('-', '');
    await this.yard.put(model, 'weights', await greeterWeights(weights), date);
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
  async assertOnly(service: string, release: string, replicas: number, budget = 60_000): Promise<void> {
    const wanted = release.replace('.r', '--r');
    for (const end = Date.now() + budget; ; await delay(500)) {
      const workloads = await this.kubectl(
        ...['get', 'deployments', '-l', `slipway.dev/service=${service}`, '-o'],
        'jsonpath={range .items[*]}{.metadata.name} {.spec.replicas} {.status.readyReplicas}{"\\n"}{end}',
      );
      const pods = (await this.objects(service)).filter((name) => name.startsWith('pod/'));
      const fits =
        workloads.trim() === `${wanted} ${replicas} ${replicas}` &&
        pods.length === replicas &&
        pods.every((name) => name.startsWith(`pod/${wanted}-`));
      if (fits) return;
      if (Date.now() > end)
        assert.deepEqual({ workloads: workloads.trim(), pods }, `${wanted} ${replicas} ${replicas}`);
    }
  }

  /** Requests at this rate from a second before `act` until a second after. No one may fail. */
  async losesNone(service: string, act: () => Promise<unknown>, perSecond = 100): Promise<Traffic> {
    const ask = async (): Promise<string> => String(await this.yard.predict(service, 'Ada'));
    const traffic = await Traffic.during(ask, perSecond, async () => {
      await delay(1_000);
      await act();
      await delay(1_000);
    });
    assert.deepEqual(
      traffic.failures.slice(0, 5),
      [],
      `${traffic.failures.length} of ${traffic.sent} failed`,
    );
    assert.ok(traffic.sent > perSecond, `${traffic.sent} requests`);
    return traffic;
  }
}
