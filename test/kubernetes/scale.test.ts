import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { countingApi } from '../../bench/counting-api.js';
import type { Cluster } from '../../platform/targets/kubernetes/cluster.js';
import { labels } from '../../platform/targets/kubernetes/objects/labels.js';
import { awaitWorkload } from '../../platform/targets/kubernetes/ready.js';
import { openBerth } from './simulated-berth.js';

test('awaiting 300 pods asks no more of the apiserver than awaiting three', async (t) => {
  const berth = await openBerth();
  const counted = await countingApi(berth.plane.kubeconfig);
  const folder = await mkdtemp(join(tmpdir(), 'scale-'));
  t.after(async () => {
    await berth.close();
    await counted.close();
    await rm(folder, { recursive: true });
  });
  const kubeconfig = join(folder, 'counted');
  await counted.writeKubeconfig(kubeconfig);
  const { cluster } = berth.as(kubeconfig);
  const { name: namespace } = berth;

  for (const replicas of [3, 300]) {
    const name = `scale-${replicas}`;
    await sow(cluster, namespace, name, replicas);
    counted.take();
    const told: string[] = [];
    await awaitWorkload(
      cluster,
      { namespace, name, budget: '10m' },
      { signal: t.signal, onProgress: ({ message }) => void told.push(message) },
    );
    const { requests } = counted.take();
    assert.equal(await readyPods(cluster, namespace, name), replicas, 'ready when it was said');
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
async function sow({ apps }: Cluster, namespace: string, name: string, replicas: number): Promise<void> {
  const found = { [labels.workload]: name };
  await apps.createNamespacedDeployment({
    namespace,
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

async function readyPods({ core }: Cluster, namespace: string, name: string): Promise<number> {
  const { items } = await core.listNamespacedPod({
    namespace,
    labelSelector: `${labels.workload}=${name}`,
  });
  const isReady = ({ status }: (typeof items)[number]) =>
    status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
  return items.filter(isReady).length;
}
