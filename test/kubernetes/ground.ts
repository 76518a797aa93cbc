import { randomBytes } from 'node:crypto';
import type { CoreV1Event, V1Deployment, V1Pod } from '@kubernetes/client-node';
import type { ImageRef } from '../../contract/names.js';
import type { Progress } from '../../contract/pipeline.js';
import { connect, type Cluster } from '../../platform/targets/kubernetes/cluster.js';
import { awaitWorkload, type Wanted } from '../../platform/targets/kubernetes/ready.js';
import type { Watch } from '../../platform/targets/index.js';
import type { Stack } from '../../contract/stack.js';
import type { ControlPlane } from '../support/control-plane.js';

/** How a workload of the tests differs from one that serves; `pod` and `container` are merged into the manifest. */
export type Sown = {
  replicas?: number;
  image?: string;
  env?: Record<string, string>;
  memory?: string;
  cpu?: string;
  annotations?: Record<string, string>;
  container?: object;
  pod?: object;
  spec?: object;
};

/** A cluster, and the stack that its pods pull from; without one they pull nothing. */
type Home = ControlPlane & { stack?: Pick<Stack, 'registry'> };

/** A namespace of its own on the test cluster, with what its pods need to pull. */
export class Ground {
  readonly namespace = `t-${randomBytes(4).toString('hex')}`;
  readonly cluster: Cluster;
  readonly seen: Progress[] = [];
  readonly #image: string;

  private constructor(
    readonly home: Home,
    image: ImageRef,
    kubeconfig: string,
  ) {
    this.#image = `${home.config.registry}/${image.repository}@${image.digest}`;
    this.cluster = this.connect(kubeconfig);
  }

  /** @param image what obeys the serving contract: the probe */
  static async open(home: Home, image: ImageRef): Promise<Ground> {
    const ground = new Ground(home, image, home.kubeconfig);
    await home.kubectl(['create', 'namespace', ground.namespace]);
    if (home.stack) await ground.pullSecret('pull', home.config.registry, home.stack.registry.password);
    return ground;
  }

  async close(): Promise<void> {
    await this.home.kubectl(['delete', 'namespace', this.namespace, '--wait=false']);
  }

  connect(kubeconfig: string): Cluster {
    const { stack, config } = this.home;
    return connect({
      config: { ...config, kubeconfig },
      stack: this.namespace,
      allowPickle: false,
      drain: 1_000,
      credentials: stack?.registry ?? { username: '', password: '' },
    });
  }

  async kubectl(...args: string[]): Promise<string> {
    return await this.home.kubectl(['-n', this.namespace, ...args]);
  }

  async apply(manifest: object): Promise<void> {
    await this.home.kubectl(['-n', this.namespace, 'apply', '-f', '-'], { input: JSON.stringify(manifest) });
  }

  async pullSecret(name: string, host: string, password: string): Promise<void> {
    const { username = '' } = this.home.stack?.registry ?? {};
    const auths = {
      [host]: { username, password, auth: Buffer.from(`${username}:${password}`).toString('base64') },
    };
    const data = Buffer.from(JSON.stringify({ auths })).toString('base64');
    const type = 'kubernetes.io/dockerconfigjson';
    await this.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name },
      type,
      data: { '.dockerconfigjson': data },
    });
  }

  /** Applies a Deployment of probes. */
  async sow(name: string, sown: Sown = {}): Promise<void> {
    const labels = { 'slipway.dev/workload': name };
    const env = Object.entries({ SLIPWAY_PORT: '8000', MODEL_NAME: 'iris', ...sown.env });
    const probe = { httpGet: { path: '/readyz', port: 8000 }, periodSeconds: 1 };
    const container = {
      name: 'model',
      image: sown.image ?? this.#image,
      env: env.map(([key, value]) => ({ name: key, value })),
      resources: { requests: { cpu: sown.cpu ?? '20m' }, limits: { memory: sown.memory ?? '128Mi' } },
      startupProbe: { ...probe, failureThreshold: 600 },
      readinessProbe: probe,
      ...sown.container,
    };
    const spec = {
      containers: [container],
      imagePullSecrets: [{ name: 'pull' }],
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      ...sown.pod,
    };
    await this.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, labels },
      spec: {
        replicas: sown.replicas ?? 1,
        selector: { matchLabels: labels },
        template: { metadata: { labels, annotations: sown.annotations }, spec },
        ...sown.spec,
      },
    });
  }

  watch(signal: AbortSignal = new AbortController().signal): Watch {
    return { signal, onProgress: (progress) => this.seen.push(progress) };
  }

  /** Waits for a sown workload. */
  async ready(name: string, wanted: Partial<Wanted> = {}, watch = this.watch()): Promise<void> {
    await awaitWorkload(this.cluster, { namespace: this.namespace, name, budget: '1m', ...wanted }, watch);
  }

  async deployment(name: string): Promise<V1Deployment> {
    return JSON.parse(await this.kubectl('get', 'deployment', name, '-o', 'json')) as V1Deployment;
  }

  async pods(name: string): Promise<V1Pod[]> {
    const found = await this.kubectl('get', 'pods', '-l', `slipway.dev/workload=${name}`, '-o', 'json');
    return (JSON.parse(found) as { items: V1Pod[] }).items;
  }

  async events(name: string): Promise<CoreV1Event[]> {
    const found = JSON.parse(await this.kubectl('get', 'events', '-o', 'json')) as { items: CoreV1Event[] };
    return found.items.filter(({ involvedObject }) => involvedObject.name?.startsWith(name));
  }
}
