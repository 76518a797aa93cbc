import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Deployment, V1Pod, V1Secret } from '@kubernetes/client-node';
import { appliedPart } from '../../platform/targets/kubernetes/apiserver/applied.js';
import { apply, applyFenced, read } from '../../platform/targets/kubernetes/apiserver/apply.js';
import { countCluster } from '../../platform/targets/kubernetes/count.js';
import { ApplyConflict } from '../../platform/targets/kubernetes/apiserver/errors.js';
import { annotations, labels } from '../../platform/targets/kubernetes/objects/labels.js';
import { deployment } from '../../platform/targets/kubernetes/objects/workload.js';
import type { Berth } from './berth.js';
import { image, openBerth, withBerth } from './simulated-berth.js';

describe("a release's objects in a cluster", () => {
  let berth: Berth;
  withBerth((given) => (berth = given));

  test('labels and annotations tell the story, and the image is named by digest', async () => {
    const set = berth.set(image);
    const { name } = await berth.start(set);
    for (const kind of ['deployment', 'service']) {
      const { metadata } = await berth.get<V1Deployment>(kind, name);
      assert.equal(metadata!.labels![labels.service], 'iris');
      assert.equal(metadata!.labels![labels.stack], berth.name);
      assert.equal(metadata!.labels![labels.token], '1');
      assert.equal(metadata!.annotations![annotations.release], 'iris.r1');
      assert.equal(metadata!.annotations![annotations.image], `${image.repository}@${image.digest}`);
      assert.equal(metadata!.annotations![annotations.deployment], `wf ${berth.name}`);
      assert.equal(metadata!.annotations![annotations.run], 'run-1');
      const managers = metadata!.managedFields?.filter(({ manager }) => manager === 'slipway') ?? [];
      assert.ok(managers.every(({ operation }) => operation === 'Apply'));
    }
    const { spec } = await berth.get<V1Deployment>('deployment', name, '--show-managed-fields');
    assert.equal(
      spec!.template.spec!.containers[0]!.image,
      `${berth.cluster.config.registry}/${image.repository}@${image.digest}`,
    );
  });

  test('what the cluster has is what was asked for, quantities included', async () => {
    const resources = { cpu: 0.0125, memory: '0.0625Gi' };
    const set = berth.set(image, { resources }, { token: 7 });
    const { name } = await berth.start(set);
    const { spec } = (await read<V1Deployment>(berth.cluster, deployment(berth.cluster, set, 1, null)))!;
    const wanted = deployment(berth.cluster, set, 1, null).spec.template.spec!.containers[0]!.resources;
    const { limits, requests } = spec!.template.spec!.containers[0]!.resources!;
    assert.deepEqual({ requests, limits }, wanted);
    await berth.target.remove({ node: berth.name, name }, 0);
  });

  test('started again, the number of replicas stays what it became, and is still ours to set', async () => {
    const set = berth.set(image, { replicas: 2 }, { token: 2 });
    await berth.start(set);
    const { metadata } = await berth.get<V1Deployment>('deployment', 'iris--r2', '--show-managed-fields');
    const ours = metadata!.managedFields!.filter(({ manager }) => manager === 'slipway');
    assert.deepEqual(
      ours.map(({ operation }) => operation),
      ['Apply'],
    );
    const ref = deployment(berth.cluster, set, 2, null);
    await applyFenced<V1Deployment>(berth.cluster, ref, 2, (current) => {
      const part = appliedPart(current!);
      part.spec!.replicas = 3;
      return part;
    });
    await berth.start(set);
    const after = await berth.get<V1Deployment>('deployment', 'iris--r2');
    assert.equal(after.spec!.replicas, 3);
    assert.equal(after.metadata!.generation, metadata!.generation! + 1);
  });

  test('an attempt that was held up as it was about to make a Deployment takes nothing back', async () => {
    const late = berth.other({});
    const { objects } = late.cluster;
    let arrive = () => {};
    let release = () => {};
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    // What a worker does that is stopped between its last look and its request.
    const create = objects.create.bind(objects);
    objects.create = async (...args) => {
      arrive();
      await released;
      return (await create(...args)) as never;
    };
    const set = berth.set(image, {}, { token: 8 });
    const starting = late.start(set);
    await arrived;
    const first = await berth.start(set);
    await applyFenced<V1Deployment>(berth.cluster, deployment(berth.cluster, set, 1, null), 8, (current) => {
      const part = appliedPart(current!);
      part.spec!.replicas = 3;
      return part;
    });
    release();
    assert.deepEqual(await starting, first);
    assert.equal((await berth.get<V1Deployment>('deployment', 'iris--r8')).spec!.replicas, 3);
    await berth.target.remove(first, 0);
  });

  test('what was applied can be applied again without a change', async () => {
    const set = berth.set(image, {}, { token: 1 });
    await berth.start(set);
    const before = (await read<V1Deployment>(berth.cluster, deployment(berth.cluster, set, 1, null)))!;
    const again = await apply(berth.cluster, appliedPart(before));
    assert.equal(again.metadata!.generation, before.metadata!.generation);
    assert.deepEqual(appliedPart(again), appliedPart(before));
    assert.deepEqual(again.spec, before.spec);
  });

  test('who takes over begins with what its strategy wants', async () => {
    const live = [{ node: berth.name, name: 'iris--r1', url: 'http://x' }];
    const steps = [{ weight: 30, pause: true as const }];
    const analysis = { successRate: 1, minRequests: 1, patience: '1s' };
    const begin = async (token: number, strategy: Parameters<Berth['start']>[1]) => {
      await berth.start(
        berth.set(image, { replicas: 4, resources: { cpu: 0.01, memory: '32Mi' } }, { token }),
        strategy,
      );
      const { spec } = await berth.get<V1Deployment>('deployment', `iris--r${token}`);
      return spec!.replicas;
    };
    const rolling = { kind: 'rolling' as const, maxSurge: 1, maxUnavailable: 0 };
    assert.equal(await begin(21, { strategy: rolling, live }), 1);
    assert.equal(
      await begin(22, { strategy: { kind: 'canary', steps, traffic: 'gateway', analysis }, live }),
      2,
    );
    assert.equal(await begin(23, { strategy: { kind: 'blueGreen', keep: '1m' }, live }), 4);
    assert.equal(await begin(24, { strategy: rolling, live: [] }), 4);
    assert.equal(await begin(25, { strategy: rolling, live: [{ ...live[0]!, node: 'elsewhere' }] }), 4);
    const begun = [21, 22, 23, 24, 25].map((token) => ({ node: berth.name, name: `iris--r${token}` }));
    await Promise.all(begun.map((replica) => berth.target.remove(replica, 0)));
  });

  test('everything that was made is counted, and nothing of other installations', async () => {
    const { cluster } = berth;
    const { name } = await berth.start(berth.set(image, {}, { token: 6 }));
    const { error, workloads, objects } = await countCluster(cluster);
    assert.equal(error, null);
    assert.equal(workloads.find((one) => one.name === name)?.deployment, `wf ${berth.name}`);
    assert.equal(objects.find((one) => one.kind === 'Service' && one.name === name)?.workload, name);
    for (const kind of ['Secret', 'ServiceAccount', 'NetworkPolicy', 'ReplicaSet', 'Pod'])
      assert.ok(
        objects.some((one) => one.kind === kind),
        kind,
      );
    assert.ok(objects.every(({ namespace }) => namespace === berth.name));
    await berth.target.remove({ node: berth.name, name }, 0);
    const after = await countCluster(cluster);
    assert.ok(!after.objects.some(({ workload }) => workload === name));
    assert.ok(!after.workloads.some((one) => one.name === name));
    const other = await countCluster({ ...cluster, stack: 'another' });
    assert.deepEqual(other, { workloads: [], objects: [], error: null });
    const away = { ...cluster.config, kubeconfig: '/no/such/file' };
    assert.match(
      (await countCluster({ ...cluster, config: away })).error ?? '',
      /kubeconfig \/no\/such\/file/,
    );
  });

  test('fields that somebody else manages are not taken, but named', async () => {
    const set = berth.set(image, {}, { token: 4 });
    const { name } = await berth.start(set);
    await berth.kubectl('scale', 'deployment', name, '--replicas=2');
    const ref = deployment(berth.cluster, set, 1, null);
    const back = () =>
      applyFenced<V1Deployment>(berth.cluster, ref, 4, (current) => {
        const part = appliedPart(current!);
        part.spec!.replicas = 1;
        return part;
      });
    await assert.rejects(back(), (error) => {
      assert.ok(error instanceof ApplyConflict);
      assert.deepEqual(error.conflicts, [{ manager: 'kubectl', field: '.spec.replicas' }]);
      return true;
    });
  });

  test('an attempt whose deployment was taken back changes nothing any more', async () => {
    const set = berth.set(image, {}, { token: 5 });
    const { name } = await berth.start(set);
    await berth.kubectl('annotate', 'deployment', name, `${annotations.fence}=5`);
    const ref = deployment(berth.cluster, set, 1, null);
    const change = (token: number) =>
      applyFenced<V1Deployment>(berth.cluster, ref, token, (current) => appliedPart(current!));
    await assert.rejects(change(5), /^SlipwayError: fenced: deployment "iris--r5"/);
    await change(6);
  });

  test('removed, nothing remains, and what is gone is fine', async () => {
    const other = await openBerth();
    try {
      const { name, node } = await other.up(other.set(image, { replicas: 2 }));
      const pods = await other.get<{ items: V1Pod[] }>('pods');
      assert.equal(pods.items.length, 2);
      assert.equal(
        (await other.get<V1Secret>('secret', `slipway-${other.name}-registry`)).type,
        'kubernetes.io/dockerconfigjson',
      );
      await other.target.remove({ node, name }, 2_000);
      const left = await other.kubectl(
        'get',
        'all,secrets,serviceaccounts,networkpolicies,endpoints',
        '-o',
        'name',
      );
      assert.equal(left, 'serviceaccount/default');
      await other.target.remove({ node, name }, 2_000);
    } finally {
      await other.close();
    }
  });
});
