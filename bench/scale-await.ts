import { once } from 'node:events';
import { parseDeployInput } from '../contract/deploy.js';
import { digestOf } from '../contract/names.js';
import type { OnProgress } from '../contract/pipeline.js';
import { ClusterConfig } from '../contract/stack.js';
import { resolveSpec } from '../platform/recipes/index.js';
import { connect } from '../platform/targets/kubernetes/cluster.js';
import { workloadName } from '../platform/targets/kubernetes/objects/names.js';
import { awaitWorkload } from '../platform/targets/kubernetes/ready.js';
import { startWorkload } from '../platform/targets/kubernetes/start.js';
import { setOf } from './target-way.js';

/** What the process is to roll out on which cluster. */
export type Order = { kubeconfig: string; name: string; replicas: number };
/** Bytes more on the heap than before, bytes resident at most, milliseconds of processor time, and seconds. */
export type Used = { heap: number; resident: number; cpu: number; seconds: number };
export type Step = 'ready' | 'rollout' | 'again';
/** The process says when each step is done, and goes on when it is told so: requests are counted step by step. */
export type Done = { step: Step; used: Used };

const collect = (): void => {
  if (!globalThis.gc) throw new Error('started without --expose-gc');
  globalThis.gc();
};
const heapInUse = (): number => {
  collect();
  return process.memoryUsage().heapUsed;
};

/** Measures one step. `act` is given what is to be called with its progress. */
async function using(act: (onProgress: OnProgress) => Promise<void>): Promise<Used> {
  const before = heapInUse();
  const cpu = process.cpuUsage();
  const began = performance.now();
  let [heap, resident] = [0, 0];
  let next = 0;
  const look = setInterval(() => {
    resident = Math.max(resident, process.memoryUsage.rss());
  }, 10);
  await act(({ done = 0, total = 0 }) => {
    // Nearly all of the pods are known by now, and more than once at every tenth: what is held is the most of it.
    if (total === 0 || done < next) return;
    next = done + total / 10;
    heap = Math.max(heap, heapInUse() - before);
  });
  clearInterval(look);
  const { user, system } = process.cpuUsage(cpu);
  return {
    heap: Math.max(heap, 0),
    resident,
    cpu: (user + system) / 1000,
    seconds: (performance.now() - began) / 1000,
  };
}

async function done(step: Step, used: Used): Promise<void> {
  const told = once(process, 'message');
  process.send?.({ step, used } satisfies Done);
  await told;
}

async function run({ kubeconfig, name, replicas }: Order): Promise<void> {
  const cluster = connect({
    config: ClusterConfig.parse({ kubeconfig, registry: 'registry.invalid', reach: 'service' }),
    ...{ stack: 'scale', allowPickle: false, drain: 1_000 },
    credentials: { username: 'nobody', password: 'nothing' },
  });
  const signal = new AbortController().signal;
  const setWith = (name: string, replicas: number) =>
    setOf({
      name,
      image: { repository: `slipway/${name}`, digest: digestOf('0'.repeat(64)) },
      spec: resolveSpec(parseDeployInput({ model: name, replicas }), {}, 'python-class', []),
    });
  const rollout = async (set: ReturnType<typeof setWith>, onProgress: OnProgress): Promise<void> => {
    const namespace = cluster.config.namespace;
    const name = workloadName(set.grant.service, set.grant.token, set.role);
    const silent = { onProgress: () => undefined, signal };
    await startWorkload(cluster, set, { node: namespace, name, ordinal: 0 }, silent);
    // Nothing answers at a simulated pod's address.
    await awaitWorkload(
      cluster,
      { namespace, name, budget: set.spec.verify.startupBudget },
      { onProgress, signal },
    );
  };
  // What is loaded and learnt at the first time is no matter of the number of pods.
  await done('ready', await using((onProgress) => rollout(setWith(`${name}-first`, 1), onProgress)));
  const set = setWith(name, replicas);
  await done('rollout', await using((onProgress) => rollout(set, onProgress)));
  await done('again', await using((onProgress) => rollout(set, onProgress)));
}

process.once('message', (order) => {
  run(order as Order).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
