import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { countingApi } from '../../bench/counting-api.js';
import { simulatedCluster } from '../../bench/simulated-cluster.js';
import { ClusterConfig } from '../../contract/stack.js';
import { connect, type Cluster } from '../../platform/targets/kubernetes/cluster.js';
import { labels } from '../../platform/targets/kubernetes/objects/labels.js';
import { awaitWorkload } from '../../platform/targets/kubernetes/ready.js';
import { clusterPrograms } from '../support/cluster.js';

test('awaiting 300 pods asks no more of the apiserver than awaiting three', async (t) => {
  const programs = await clusterPrograms();
  const simulated = await simulatedCluster(
    { programs, nodes: 2, podsPerNode: 200 },
    (doing) => t.diagnostic(doing),
    t.signal,
  );
  t.after(() => simulated.stop());
  const counted = await countingApi(simulated.kubeconfig);
  t.after(() => counted.close());
  const kubeconfig = join(simulated.folder, 'counted');
  await counted.writeKubeconfig(kubeconfig);
  const cluster = connect({
    config: ClusterConfig.parse({ kubeconfig, registry: 'registry.invalid', reach: 'service' }),
    ...{ stack: 'scale', allowPickle: false, drain: 1_000 },
    credentials: { username: '', password: '' },
  });

  for (const replicas of [3, 300]) {
    const name = `scale-${replicas}`;
    await sow(cluster, name, replicas);
    counted.take();
    const told: string[] = [];
    await awaitWorkload(
      cluster,
      { namespace: 'default', name, budget: '1m' },
      { signal: t.signal, onProgress: ({ message }) => void told.push(message) },
    );
    const { requests } = counted.take();
    assert.equal(await readyPods(cluster, name), replicas, 'ready when it was said');
    assert.match(told.join('\n'), new RegExp(`^\\d+ of ${replicas} ready`, 'm'));

    const made = (wanted: string) =>
      requests.filter(({ verb, resource }) => `${verb} ${resource}` === wanted).length;
    const followed = ['deployments', 'pods', 'events'];
    for (const { verb, resource } of requests)
      assert.ok(['list', 'watch'].includes(verb) && followed.includes(resource), `${verb} ${resource}`);
    // An apiserver under load ends watches; they go on where they were, without reading everything again.
    for (const resource of followed) assert.ok(made(`list ${resource}`) <= 1, `lists of ${resource}`);
    assert.equal(made('list pods'), 1);
    assert.ok(requests.length <= 15, `${requests.length} requests`);
  }
});

/** A Deployment as little as the cluster takes, and found as ours are. */
async function sow({ apps }: Cluster, name: string, replicas: number): Promise<void> {
  const found = { [labels.workload]: name };
  await apps.createNamespacedDeployment({
    namespace: 'default',
    body: {
      metadata: { name },
      spec: {
        replicas,
        selector: { matchLabels: found },
        template: {
          metadata: { labels: found },
          spec: { containers: [{ name: 'model', image: 'registry.invalid/nothing' }] },
        },
      },
    },
  });
}

async function readyPods({ core }: Cluster, name: string): Promise<number> {
  const { items } = await core.listNamespacedPod({
    namespace: 'default',
    labelSelector: `${labels.workload}=${name}`,
  });
  const isReady = ({ status }: (typeof items)[number]) =>
    status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
  return items.filter(isReady).length;
}
