import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import { SlipwayError, type FailureType } from '../../contract/errors.js';
import { digestOf, type ImageRef } from '../../contract/names.js';
import type { Registry } from '../../platform/images/index.js';
import { countCluster } from '../../platform/targets/kubernetes/count.js';
import { labels } from '../../platform/targets/kubernetes/objects/labels.js';
import { neededPermissions } from '../../platform/targets/kubernetes/admission/permissions.js';
import { imageFacts } from '../../platform/images/facts.js';
import { putSourceImage } from '../registry/sample.js';
import { testApiserver } from '../support/apiserver.js';
import { TestRegistry } from '../support/registry.js';
import { untilTrue } from '../support/until.js';
import type { Berth } from './berth.js';
import { openBerth } from './simulated-berth.js';

const { kubectl } = await testApiserver();
const everything =
  'all,secrets,serviceaccounts,configmaps,ingresses,poddisruptionbudgets,horizontalpodautoscalers,networkpolicies';

describe('what is found out about a rollout before it', () => {
  let registry: TestRegistry;
  let image: ImageRef;
  let berth: Berth;
  /** With a registry in which images are looked up. */
  const open = (): Promise<Berth> =>
    openBerth({}, { base: image, inspect: (of, signal) => imageFacts(registry.client(), of, signal) });
  before(async () => {
    registry = await TestRegistry.start();
    image = await putSourceImage(registry.client());
    berth = await open();
  });
  after(async () => {
    await berth?.close();
    await registry?.stop();
  });

  const refused = (type: FailureType, text: RegExp) => (error: unknown) => {
    assert.ok(error instanceof SlipwayError, String(error));
    assert.match(error.message, text);
    assert.equal(error.type, type);
    return true;
  };

  test('nothing is in the way, and nothing was changed', async () => {
    // What Kubernetes itself puts there comes a moment after the namespace.
    const own = 'serviceaccount/default\nconfigmap/kube-root-ca.crt';
    const there = () => berth.kubectl('get', everything, '-o', 'name');
    await untilTrue(async () => (await there()) === own, 60_000);
    assert.deepEqual(await berth.admit(berth.set(image)), []);
    // Not yet built: what it is built on tells what it will run on.
    const unbuilt = { repository: 'slipway/iris', digest: digestOf('0'.repeat(64)) };
    assert.deepEqual(await berth.admit(berth.set(unbuilt)), []);
    assert.equal(await there(), own);
  });

  test('namespaces: one that does not exist, and one the installation keeps out of', async () => {
    const elsewhere = berth.set(image, { kubernetes: { namespace: 'no-such-place' } });
    await assert.rejects(
      berth.admit(elsewhere),
      refused('NotFound', /there is no namespace "no-such-place"/),
    );
    const narrow = berth.other({ config: { ...berth.cluster.config, namespaces: [berth.name, 'other'] } });
    await assert.rejects(
      narrow.admit(elsewhere),
      refused('InvalidInput', /kubernetes\.namespace: .* "no-such-place", only to t-\w+, other$/),
    );
    assert.deepEqual(await narrow.admit(narrow.set(image)), []);
  });

  test('every permission that is missing, at once', async () => {
    const rules = [
      { apiGroups: ['apps'], resources: ['deployments'], verbs: ['*'] },
      { apiGroups: [''], resources: ['services', 'serviceaccounts', 'pods'], verbs: ['*'] },
      { apiGroups: ['policy', 'autoscaling'], resources: ['*'], verbs: ['*'] },
      { apiGroups: ['networking.k8s.io'], resources: ['ingresses'], verbs: ['*'] },
      { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: ['create', 'get'] },
      { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'patch'] },
    ];
    const { kubeconfig } = await berth.somebody('deployer', rules);
    const deployer = berth.as(kubeconfig);
    await assert.rejects(
      deployer.admit(deployer.set(image)),
      refused(
        'RolloutFailed',
        /user "deployer" .* lacks permissions in namespace "t-\w+" .*: patch, delete networkpolicies\.networking\.k8s\.io "slipway-[^"]+-egress"; get pods\/log; list, watch events; create secrets; delete secrets "slipway-[^"]+-registry"\./,
      ),
    );
    const outside = deployer.set(image, { kubernetes: { namespace: 'default' } });
    await assert.rejects(
      deployer.admit(outside),
      refused('InvalidInput', /"default" is out of sight: .*"namespaces"$/),
    );
  });

  test('with the permissions that are said to be needed, and no more, a set is admitted, started and removed', async () => {
    const strategy = { kind: 'rolling' as const, maxSurge: 1, maxUnavailable: 0 };
    const set = berth.set(image, {}, { token: 30 });
    const rules = neededPermissions(berth.cluster, set, strategy).map(({ group, resource, name, verbs }) => ({
      apiGroups: [group],
      resources: [resource],
      ...(name !== undefined && { resourceNames: [name] }),
      verbs,
    }));
    const enough = berth.as((await berth.somebody('enough', rules)).kubeconfig);
    const warnings = await enough.admit(set, strategy);
    assert.match(
      warnings.join(),
      /^whether nodes have room .* lacks the permission to list nodes of the cluster$/,
    );
    const { address: _, ...unaddressed } = enough.cluster.config;
    await assert.rejects(
      enough.other({ config: unaddressed }).admit(set, strategy),
      refused(
        'RolloutFailed',
        /user "enough" .* may not list nodes .*: name one in the installation's "address"/,
      ),
    );
    const replica = await enough.start(set);
    assert.equal((await enough.target.list({ token: 30 })).length, 1);
    const { error, objects } = await countCluster(enough.cluster);
    assert.equal(error, null);
    assert.ok(objects.some(({ kind, name }) => kind === 'Service' && name === replica.name));
    await enough.target.remove(replica, 0);
  });

  test('an ingress class that the cluster does not have, and none named where there is no default', async () => {
    const name = `class-${berth.name}`;
    await berth.apply({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'IngressClass',
      metadata: { name },
      spec: { controller: 'slipway.dev/test' },
    });
    try {
      const ingress = (of: object) =>
        berth.set(image, { kubernetes: { ingress: { path: '/', annotations: {}, ...of } } });
      await assert.rejects(
        berth.admit(ingress({ class: 'nonsense' })),
        refused(
          'NotFound',
          new RegExp(
            `kubernetes.ingress.class: the cluster has no IngressClass "nonsense"; it has .*"${name}"`,
          ),
        ),
      );
      await assert.rejects(
        berth.admit(ingress({})),
        refused(
          'InvalidInput',
          /kubernetes\.ingress\.class: name one, for the cluster has no default IngressClass/,
        ),
      );
      assert.deepEqual(await berth.admit(ingress({ class: name })), []);
      await assert.rejects(
        berth.admit(ingress({ class: name, tlsSecret: 'no-cert' })),
        refused('NotFound', /kubernetes\.ingress\.tlsSecret: there is no Secret "no-cert"/),
      );
    } finally {
      await kubectl(['delete', 'ingressclass', name]);
    }
  });

  test('secrets and their keys, without a look at their values', async () => {
    await berth.kubectl('create', 'secret', 'generic', 'weather', '--from-literal=key=sunny');
    const env = (secret: string, key: string) =>
      berth.set(image, { kubernetes: { env: [{ name: 'WEATHER', secret, key }] } });
    assert.deepEqual(await berth.admit(env('weather', 'key')), []);
    await assert.rejects(
      berth.admit(env('weather', 'cloud')),
      refused(
        'NotFound',
        /kubernetes\.env: Secret "weather" in namespace "t-\w+" has no key "cloud"; it has "key"$/,
      ),
    );
    await assert.rejects(
      berth.admit(env('climate', 'key')),
      refused('NotFound', /there is no Secret "climate"/),
    );
  });

  test('volumes: claims that are not there, folders of nodes that are not allowed', async () => {
    const volume = (of: object) =>
      berth.set(image, {
        kubernetes: { volumes: [{ name: 'data', mountPath: '/data', readOnly: true, ...of }] },
      });
    await assert.rejects(
      berth.admit(volume({ claim: 'nowhere' })),
      refused('NotFound', /kubernetes\.volumes "data": there is no PersistentVolumeClaim "nowhere"/),
    );
    await berth.apply({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'alone' },
      spec: {
        accessModes: ['ReadWriteOncePod'],
        resources: { requests: { storage: '1Mi' } },
        storageClassName: 'none',
      },
    });
    assert.deepEqual(await berth.admit(volume({ claim: 'alone' })), []);
    const live = [{ node: berth.name, name: 'iris--r1', url: 'http://x' }];
    await assert.rejects(
      berth.admit(volume({ claim: 'alone' }), {}, live),
      refused('InvalidInput', /claim "alone" is for one pod only \(ReadWriteOncePod\)/),
    );
    const allowing = berth.other({ config: { ...berth.cluster.config, hostPaths: ['/srv/data'] } });
    assert.deepEqual(await allowing.admit(volume({ hostPath: '/srv/data/x' })), []);
    for (const hostPath of ['/srv/database', '/srv', '/'])
      await assert.rejects(
        allowing.admit(volume({ hostPath })),
        refused(
          'InvalidInput',
          /must not be mounted: the installation's "hostPaths" allow \/srv\/data only$/,
        ),
      );
  });

  test('traffic that nothing in the cluster could divide', async () => {
    const canary = (traffic: 'nginx' | 'httpRoute') => ({
      kind: 'canary' as const,
      steps: [{ weight: 10, pause: true as const }],
      traffic,
    });
    await assert.rejects(
      berth.admit(berth.set(image), canary('nginx')),
      refused('InvalidInput', /strategy\.traffic: "nginx" divides the requests of an Ingress/),
    );
    assert.deepEqual(await berth.admit(berth.set(image), canary('httpRoute')), []);
  });

  test('an image for another architecture', async () => {
    const other = await forArchitecture(registry.client(), image, 's390x');
    await assert.rejects(
      berth.admit(berth.set(other)),
      refused('RolloutFailed', /^the image is for linux\/s390x, but the nodes are linux\/amd64/),
    );
  });

  test('quota that leaves no room for a pod is told, with what to do', async () => {
    const full = await open();
    try {
      await full.start(full.set(image));
      await full.kubectl('create', 'quota', 'small', '--hard=pods=1');
      await untilTrue(
        async () =>
          (await full.kubectl('get', 'quota', 'small', '-o', 'jsonpath={.status.used.pods}')) === '1',
        60_000,
      );
      const next = full.set(image, {}, { token: 2 });
      const live = [{ node: full.name, name: 'iris--r1', url: 'http://x' }];
      await assert.rejects(
        full.admit(next, { maxSurge: 1 }, live),
        refused(
          'RolloutFailed',
          /exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1; with "maxSurge": 0/,
        ),
      );
      assert.deepEqual(await full.admit(next, { maxSurge: 0, maxUnavailable: 1 }, live), []);
    } finally {
      await full.close();
    }
  });

  test('a GPU node that is full: no surge, but one after another', async () => {
    const resource = `${berth.name}.slipway.test/gpu`;
    const [node] = (await kubectl(['get', 'nodes', '-o', 'jsonpath={.items[*].metadata.name}'])).split(' ');
    // As a kubelet tells it once a device plugin has.
    const offer = (op: object) => {
      const ops = ['capacity', 'allocatable'].map((room) => ({
        ...op,
        path: `/status/${room}/${resource.replace('/', '~1')}`,
      }));
      return kubectl([
        'patch',
        'node',
        node!,
        '--subresource=status',
        '--type=json',
        '-p',
        JSON.stringify(ops),
      ]);
    };
    await offer({ op: 'add', value: '2' });
    try {
      const gpus = { resource, count: 1 };
      const set = (token: number) => berth.set(image, { replicas: 2, kubernetes: { gpus } }, { token });
      assert.deepEqual(await berth.admit(set(40)), []);
      const replica = await berth.start(set(40));
      const selector = `${labels.workload}=${replica.name}`;
      await untilTrue(async () => {
        const { items } = await berth.get<{ items: V1Pod[] }>('pods', '-l', selector);
        return items.length === 2 && items.every(({ spec }) => spec!.nodeName !== undefined);
      }, 60_000);
      const live = [replica];
      const surging = await berth.admit(set(41), { maxSurge: 1 }, live);
      assert.equal(
        surging.join(),
        `no room for 1 more replica beside the live ones: each needs 1 ${resource}, free on node "${node}": 0 ${resource}. ` +
          'With "maxSurge": 0, "maxUnavailable": 1 each new replica takes the place of an old one',
      );
      assert.deepEqual(await berth.admit(set(41), { maxSurge: 0, maxUnavailable: 1 }, live), []);
      const beside = await berth.admit(set(41), { kind: 'blueGreen' }, live);
      assert.match(
        beside.join(),
        /^no room for 2 more replicas beside .* With "strategy": \{"kind": "rolling", "maxSurge": 0/,
      );
      await berth.target.remove(replica, 0);
    } finally {
      await offer({ op: 'remove' });
    }
  });

  test('nodes that are too small, and nodes that do not want it', async () => {
    const large = await berth.admit(berth.set(image, { resources: { cpu: 0.01, memory: '900Gi' } }));
    assert.match(
      large.join(),
      /^no room for 1 more replica: each needs 921600Mi memory, free on node "[^"]+": \d+Mi memory\./,
    );
    const picky = await berth.admit(berth.set(image, { kubernetes: { nodeSelector: { disk: 'ssd' } } }));
    assert.match(
      picky.join(),
      /^none of the 1 nodes of the cluster has the labels disk=ssd of kubernetes\.nodeSelector/,
    );
  });

  test('objects of the same name that are somebody else’s', async () => {
    await berth.kubectl('create', 'deployment', 'iris--r50', '--image=x');
    await assert.rejects(
      berth.admit(berth.set(image, {}, { token: 50 })),
      refused(
        'Conflict',
        /^deployment "iris--r50" in namespace "t-\w+" exists and is not this installation's/,
      ),
    );
    await berth.kubectl('create', 'service', 'clusterip', 'rose', '--tcp=80');
    await assert.rejects(
      berth.admit(berth.set(image, {}, { service: 'rose' })),
      refused('Conflict', /^service "rose" in namespace "t-\w+" exists and is not this installation's/),
    );
  });
});

/** The same image, said to be for another architecture. */
async function forArchitecture(
  registry: Registry,
  { repository, digest }: ImageRef,
  architecture: string,
): Promise<ImageRef> {
  const { manifest } = (await registry.getManifest(repository, digest))!;
  const config = JSON.parse(
    (await registry.readBlob(repository, manifest.config.digest)).toString(),
  ) as object;
  const raw = Buffer.from(JSON.stringify({ ...config, architecture }));
  const blob = digestOf(createHash('sha256').update(raw).digest('hex'));
  const watch = { onProgress: () => undefined, signal: new AbortController().signal };
  await registry.putBlob(
    repository,
    { digest: blob, size: raw.length, open: (start) => Readable.from([raw.subarray(start)]) },
    watch,
  );
  const changed = { ...manifest, config: { ...manifest.config, digest: blob, size: raw.length } };
  return {
    repository,
    digest: await registry.putManifest(repository, Buffer.from(JSON.stringify(changed)), manifest.mediaType),
  };
}
