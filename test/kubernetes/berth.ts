import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServeSpec } from '../../contract/deploy.js';
import { KubernetesSpec } from '../../contract/kubernetes.js';
import type { ImageRef } from '../../contract/names.js';
import type { Progress, Replica } from '../../contract/pipeline.js';
import { Strategy } from '../../contract/strategy.js';
import { connect, type Cluster, type ClusterOptions } from '../../platform/targets/kubernetes/cluster.js';
import { kubernetesTargetOn } from '../../platform/targets/kubernetes/index.js';
import type { ReplicaSet, Takeover, Target, Watch } from '../../platform/targets/index.js';
import { awaitWorkload } from '../../platform/targets/kubernetes/ready.js';
import type { ControlPlane } from '../support/control-plane.js';

/** A cluster that berths are in: `node-berth.ts` and `simulated-berth.ts` have one each. */
export type Site = {
  plane: ControlPlane;
  /** What an installation there works with, beside the cluster. */
  options: Pick<ClusterOptions, 'credentials' | 'base' | 'inspect'>;
  /** Do pods answer? Those of simulated nodes are ready and run nothing. */
  answers: boolean;
};

/** An installation of its own in a namespace of its own, so that tests do not meet each other's objects. */
export class Berth {
  readonly seen: Progress[] = [];
  readonly target: Target;
  #folder: string | undefined;

  private constructor(
    readonly site: Site,
    /** The installation's name, and the namespace's. */
    readonly name: string,
    readonly cluster: Cluster,
  ) {
    this.target = kubernetesTargetOn(cluster);
  }

  static async open(site: Site, changes: Partial<ClusterOptions> = {}): Promise<Berth> {
    const name = `t-${randomBytes(4).toString('hex')}`;
    const berth = new Berth(site, name, connect(optionsOf(site, name, changes)));
    await site.plane.kubectl(['create', 'namespace', name]);
    return berth;
  }

  /** Its cluster, for what is in no namespace or in another one. */
  get plane(): ControlPlane {
    return this.site.plane;
  }

  /** The same installation seen by somebody else: with another kubeconfig or other settings. */
  other(changes: Partial<ClusterOptions>): Berth {
    return new Berth(this.site, this.name, connect(optionsOf(this.site, this.name, changes)));
  }

  /** Asks whether a set could be rolled out. */
  admit(set: ReplicaSet, strategy: object = {}, live: Replica[] = []): Promise<string[]> {
    return this.target.admit(
      { set, strategy: Strategy.parse({ kind: 'rolling', ...strategy }), live },
      this.watch(),
    );
  }

  watch(signal: AbortSignal = new AbortController().signal): Watch {
    return { signal, onProgress: (progress) => this.seen.push(progress) };
  }

  set(
    image: ImageRef,
    {
      kubernetes,
      ...changes
    }: Partial<Omit<ServeSpec, 'kubernetes'>> & { kubernetes?: Partial<KubernetesSpec> } = {},
    {
      token = 1,
      role = 'serve',
      service = 'iris',
    }: { token?: number; role?: ReplicaSet['role']; service?: string } = {},
  ): ReplicaSet {
    const spec: ServeSpec = {
      recipe: 'python-class',
      replicas: 1,
      port: 8000,
      resources: { cpu: 0.05, memory: '64Mi' },
      verify: { latencyBudget: '1s', startupBudget: '60s', sourceCheck: true },
      ...changes,
      ...(kubernetes && { kubernetes: KubernetesSpec.parse(kubernetes) }),
    };
    const deployment = { workflowId: `wf ${this.name}`, runId: 'run-1' };
    return {
      grant: { service, token, deployment },
      release: `${service}.r${token}`,
      model: 'iris',
      image,
      spec,
      role,
    };
  }

  async start(set: ReplicaSet, takeover?: Pick<Takeover, 'strategy' | 'live'>): Promise<Replica> {
    const [planned] = this.target.place(set);
    return await this.target.start(set, planned!, this.watch(), takeover);
  }

  /** Starts a set and waits until it answers. */
  async up(set: ReplicaSet): Promise<Replica> {
    const replica = await this.start(set);
    await this.ready(set, replica);
    return replica;
  }

  /** Waits until what was started is ready, and answers where pods do. */
  async ready(set: ReplicaSet, replica: Replica): Promise<void> {
    if (this.site.answers) return void (await this.target.awaitReady(set, [replica], this.watch()));
    const { node: namespace, name } = replica;
    await awaitWorkload(
      this.cluster,
      { namespace, name, budget: set.spec.verify.startupBudget },
      this.watch(),
    );
  }

  /**
   * Path of a kubeconfig of somebody who may only do what `rules` say, in the namespace; nothing by default. The second is
   * the token in it.
   */
  async somebody(name: string, rules: object[] = []): Promise<{ kubeconfig: string; token: string }> {
    await this.kubectl('create', 'serviceaccount', name);
    const metadata = { name };
    const rbac = { apiGroup: 'rbac.authorization.k8s.io', name };
    await this.apply(
      { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata, rules },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata,
        roleRef: { ...rbac, kind: 'Role' },
        subjects: [{ kind: 'ServiceAccount', name, namespace: this.name }],
      },
    );
    const token = await this.kubectl('create', 'token', name);
    return { kubeconfig: await this.writeKubeconfig(name, { token }), token };
  }

  /** Writes a kubeconfig like the administrator's with another user, and other settings of the cluster. */
  async writeKubeconfig(name: string, user: object, cluster: object = {}): Promise<string> {
    this.#folder ??= await mkdtemp(join(tmpdir(), 'slipway-berth-'));
    const path = join(this.#folder, name);
    const { server, caData } = this.plane.kubeConfig().getCurrentCluster()!;
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server, 'certificate-authority-data': caData, ...cluster } }],
      users: [{ name, user }],
      contexts: [{ name: 'ctx', context: { cluster: 'c', user: name } }],
      'current-context': 'ctx',
    };
    await writeFile(path, JSON.stringify(config), { mode: 0o600 });
    return path;
  }

  /** The same installation seen with another kubeconfig. */
  as(kubeconfig: string): Berth {
    return this.other({ config: { ...this.cluster.config, kubeconfig } });
  }

  /** kubectl in the namespace. */
  kubectl(...args: string[]): Promise<string> {
    return this.plane.kubectl(['-n', this.name, ...args]);
  }

  async get<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.kubectl('get', ...args, '-o', 'json')) as T;
  }

  async apply(...objects: object[]): Promise<void> {
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    await this.plane.kubectl(['-n', this.name, 'apply', '-f', '-'], { input });
  }

  async close(): Promise<void> {
    await this.plane.kubectl(['delete', 'namespace', this.name, '--wait=false', '--ignore-not-found']);
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true });
  }
}

const optionsOf = (
  { plane, options }: Site,
  name: string,
  changes: Partial<ClusterOptions>,
): ClusterOptions => ({
  stack: name,
  config: { ...plane.config, namespace: name },
  ...options,
  allowPickle: false,
  drain: 2_000,
  ...changes,
});
