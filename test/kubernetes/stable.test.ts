import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type {
  V1HorizontalPodAutoscaler,
  V1Ingress,
  V1PodDisruptionBudget,
  V1Service,
} from '@kubernetes/client-node';
import type { SlipwayError } from '../../contract/errors.js';
import type { Berth } from './berth.js';
import { blueGreen, Quay } from './quay.js';
import { image, openBerth } from './simulated-berth.js';

describe("a service's own objects in a cluster", () => {
  let berth: Berth;
  let quay: Quay;
  before(async () => {
    berth = await openBerth();
    quay = new Quay(berth, image);
  });
  after(async () => await berth.close());

  const kubernetes = {
    ingress: {
      class: 'any',
      host: 'models.example.org',
      path: '/inference/predict',
      tlsSecret: 'iris-tls',
      annotations: { 'example.org/limit': '10m' },
    },
    autoscaling: { min: 2, max: 5, cpu: 60 },
  };

  test('a first release gets a service, an ingress, an autoscaler and a disruption budget', async () => {
    const [live] = await quay.first({ replicas: 2, kubernetes: kubernetes as never });
    await quay.awaitBehind('iris--r1');

    const service = await berth.get<V1Service>('service', 'iris');
    assert.equal(service.spec?.type, 'ClusterIP');
    assert.deepEqual(service.spec?.ports?.[0], {
      name: 'http',
      port: 80,
      targetPort: 'http',
      protocol: 'TCP',
    });
    assert.equal(service.metadata?.annotations?.['slipway.dev/release'], 'iris.r1');
    assert.equal(service.metadata?.labels?.['slipway.dev/service'], 'iris');

    const ingress = await berth.get<V1Ingress>('ingress', 'iris');
    assert.deepEqual(ingress.spec, {
      ingressClassName: 'any',
      tls: [{ secretName: 'iris-tls', hosts: ['models.example.org'] }],
      rules: [
        {
          host: 'models.example.org',
          http: {
            paths: [
              {
                path: '/inference/predict',
                pathType: 'Prefix',
                backend: { service: { name: 'iris', port: { name: 'http' } } },
              },
            ],
          },
        },
      ],
    });
    assert.equal(ingress.metadata?.annotations?.['example.org/limit'], '10m');
    // What an Ingress passes on unchanged, the replicas understand.
    const [pod] = await quay.pods('iris--r1');
    const env = pod?.spec?.containers[0]?.env ?? [];
    assert.equal(env.find(({ name }) => name === 'SLIPWAY_BASE_PATH')?.value, '/inference');

    const autoscaler = await berth.get<{ spec: V1HorizontalPodAutoscaler['spec'] & { minReplicas: number } }>(
      'hpa',
      'iris',
    );
    assert.equal(autoscaler.spec?.scaleTargetRef.name, live!.name);
    assert.deepEqual([autoscaler.spec?.minReplicas, autoscaler.spec?.maxReplicas], [2, 5]);

    const budget = await berth.get<V1PodDisruptionBudget>('pdb', 'iris');
    assert.equal(budget.spec?.maxUnavailable, 1);
    assert.deepEqual(budget.spec?.selector?.matchLabels, service.spec?.selector);
    await berth.target.withdraw('iris', [live!]);
    assert.ok((await quay.everything())['Service/iris'], 'what is live keeps its objects');
  });

  test('the next release takes all over, nothing restarts, what it does not ask for goes', async () => {
    const live = [{ node: berth.name, name: 'iris--r1', url: 'http://nowhere' }];
    const takeover = await quay.begin(2, blueGreen, live, { replicas: 2, kubernetes: { minAvailable: 1 } });
    const ids = async () => (await quay.pods('iris--r2')).map(({ metadata }) => metadata?.uid).sort();
    const before = await ids();
    await quay.awaitBehind('iris--r1');
    await berth.target.promote(takeover, berth.watch());
    await quay.awaitBehind('iris--r2');
    assert.deepEqual(await ids(), before);
    const now = await quay.everything();
    assert.deepEqual(
      Object.keys(now)
        .filter((name) => name.endsWith('/iris'))
        .sort(),
      ['PodDisruptionBudget/iris', 'Service/iris'],
    );
    assert.deepEqual(await quay.replicas('iris--r1'), [2, 2], 'the old ones stay');
    await berth.target.promote(takeover, berth.watch());
    assert.deepEqual(await quay.everything(), now, 'repeated, nothing changes');
  });

  test('a new release has as many replicas as the autoscaler has made of the live one', async () => {
    const live = [{ node: berth.name, name: 'iris--r2', url: 'http://nowhere' }];
    await berth.kubectl('scale', 'deployment/iris--r2', '--replicas=3');
    const takeover = await quay.begin(3, blueGreen, live, {
      kubernetes: { autoscaling: { min: 1, max: 4, cpu: 50 } },
    });
    await berth.target.promote(takeover, berth.watch());
    assert.deepEqual(await quay.replicas('iris--r3'), [3, 3]);
  });

  test("what is somebody else's under the same name is refused before anything changes", async () => {
    await berth.kubectl('create', 'service', 'clusterip', 'rose', '--tcp=80:80');
    const set = berth.set(quay.image, {}, { service: 'rose', token: 1 });
    const replica = await berth.start(set);
    await assert.rejects(
      berth.target.traffic({ set, replicas: [replica], strategy: blueGreen, live: [] }, berth.watch()),
      (error: SlipwayError) =>
        error.type === 'Conflict' && /service "rose" .* not this installation's/.test(error.message),
    );
  });

  test('a change by hand of a field that the next release sets is told, not overwritten', async () => {
    const live = [{ node: berth.name, name: 'iris--r3', url: 'http://nowhere' }];
    const takeover = await quay.begin(4, blueGreen, live);
    await berth.kubectl(
      'patch',
      'service',
      'iris',
      '--field-manager=kubectl-edit',
      '-p',
      '{"spec":{"selector":{"app":"mine"}}}',
    );
    await assert.rejects(
      berth.target.promote(takeover, berth.watch()),
      (error: SlipwayError) =>
        error.type === 'Conflict' &&
        /service "iris" .* was changed by hand: \.spec\.selector by "kubectl-edit"/.test(error.message),
    );
    assert.equal((await berth.get<V1Service>('service', 'iris')).spec?.selector?.['app'], 'mine');
  });

  test('withdrawn, nothing of the service is left beside its workloads', async () => {
    await berth.target.withdraw('iris', []);
    assert.deepEqual(
      Object.keys(await quay.everything()).filter((name) => name.endsWith('/iris')),
      [],
    );
    assert.ok((await quay.everything())['Service/iris--r1'], "releases' own Services go with them");
    await berth.target.withdraw('iris', []);
  });
});
