import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { Stack } from '../../contract/stack.js';
import { testApiserver } from '../support/apiserver.js';
import { chart, runHelm, withValues, type Values } from './helm.js';

const digest = `sha256:${'a'.repeat(64)}`;
/** What has to be given. */
const least = {
  stack: {
    temporal: { address: 'temporal:7233' },
    postgres: 'postgres://slipway:secret@db:5432/slipway',
    s3: { endpoint: 'http://s3:9000', accessKey: 'AKIA7', secretKey: 'very-secret', bucket: 'models' },
    registry: { url: 'https://registry.example.com', username: 'u', password: 'p' },
    base: { repository: 'slipway-base', digest },
  },
};
type Rendered = { kind: string; metadata: { name: string; namespace?: string }; [key: string]: unknown };

const template = async (values: Values): Promise<Rendered[]> =>
  await withValues(values, async (file) => {
    const args = ['template', 'ship', chart, '--values', file, '--kube-version', '1.34.0', '-n', 'slipway'];
    const documents = parseAllDocuments(await runHelm(args)) as { toJSON(): unknown }[];
    return documents.map((document) => document.toJSON() as Rendered | null).filter((it) => it !== null);
  });
const configOf = (objects: Rendered[]): unknown => {
  const secret = objects.find(({ kind }) => kind === 'Secret') as
    { data?: Record<string, string> } | undefined;
  return JSON.parse(Buffer.from(secret?.data?.['stack.json'] ?? '', 'base64').toString());
};
/** Pods of Deployments and Jobs, with what makes them. */
const podsOf = (objects: Rendered[]): (readonly [string, PodSpec])[] =>
  objects.flatMap((object) => {
    const { spec } = object as unknown as { spec?: { template?: { spec?: PodSpec } } };
    return spec?.template?.spec
      ? [[`${object.kind} ${object.metadata.name}`, spec.template.spec] as const]
      : [];
  });

describe('the chart', { timeout: 1_500_000 }, () => {
  test('is clean by helm lint, with its defaults and with values', async () => {
    await runHelm(['lint', '--strict', chart]);
    const temporal = {
      address: 'cloud:7233',
      tls: { clientSecret: 'mtls' },
      apiKey: { secret: 'cloud' },
      encryption: { secret: 'payloads', keys: ['one'] },
    };
    const metrics = { serviceMonitor: { enabled: true } };
    for (const values of [least, { ...least, stack: { ...least.stack, temporal }, metrics }])
      await withValues(values, (file) => runHelm(['lint', '--strict', chart, '--values', file]));
  });

  test('renders a configuration that Slipway reads, for the cluster it is in', async () => {
    const stack = Stack.parse(configOf(await template(least)));
    assert.deepEqual(
      [stack.api, stack.gateway, stack.listen],
      [
        'http://ship-slipway.slipway.svc:7801',
        'http://ship-slipway.slipway.svc:7800',
        { host: '0.0.0.0', api: 7801, gateway: 7800 },
      ],
    );
    const { cluster } = stack;
    assert.deepEqual(
      [cluster?.kubeconfig, cluster?.reach, cluster?.namespace, cluster?.namespaces, cluster?.registry],
      [null, 'service', 'models', ['models'], 'registry.example.com'],
    );
    assert.deepEqual([cluster?.egress, cluster?.pullSecret], ['none', true]);
    assert.deepEqual([stack.name, stack.docker, stack.nodes], ['ship', '', []]);
    assert.ok(stack.token.length >= 40);
  });

  test('hands on where a Prometheus may be after all, and refuses what is no such place', async () => {
    const allowing = (...allow: string[]) => template({ stack: { ...least.stack, analysis: { allow } } });
    const allow = ['http://localhost:9090', '127.0.0.0/8', '::1'];
    assert.deepEqual(Stack.parse(configOf(await allowing(...allow))).analysis, { allow });
    assert.deepEqual(Stack.parse(configOf(await template(least))).analysis, { allow: [] });
    await assert.rejects(allowing('localhost'), /allow/);
  });

  test('hands on who nodes pull as, and warns where that is who pushes', async () => {
    const pull = { username: 'reader', password: 'may read' };
    const registry = { ...least.stack.registry, pull, prefix: 'team' };
    const named = { stack: { ...least.stack, registry } };
    assert.deepEqual(Stack.parse(configOf(await template(named))).registry, registry);
    const usual = { ...least.stack.registry, prefix: 'slipway' };
    assert.deepEqual(Stack.parse(configOf(await template(least))).registry, usual);
    const { kubeconfig } = await testApiserver();
    const notes = (values: Values) =>
      withValues(values, (file) =>
        runHelm(['install', 'ship', chart, '--dry-run=client', '--kubeconfig', kubeconfig, '--values', file]),
      );
    assert.match(await notes(least), /Warning: .* in models can push to .* the registry as "u"/);
    for (const quiet of [named, { stack: { ...least.stack, registry: { ...registry, pullSecret: false } } }])
      assert.doesNotMatch(await notes(quiet), /Warning/);
  });

  test('mounts what Secrets hold for Temporal, and configures it as files', async () => {
    const temporal = {
      ...least.stack.temporal,
      tls: {
        ca: { secret: 'authority', key: 'root.pem' },
        clientSecret: 'mtls',
        serverName: 'temporal.test',
      },
      apiKey: { secret: 'cloud' },
      encryption: { secret: 'payloads', keys: ['2026-07', '2026-01'] },
    };
    const folder = '/etc/slipway-temporal';
    const versioning = { enabled: true };
    const objects = await template({ stack: { ...least.stack, temporal }, worker: { versioning } });
    const { tls, apiKeyFile, encryption } = Stack.parse(configOf(objects)).temporal;
    assert.deepEqual(tls, {
      caFile: `${folder}/ca.crt`,
      client: { certificateFile: `${folder}/tls.crt`, keyFile: `${folder}/tls.key` },
      serverName: 'temporal.test',
    });
    assert.equal(apiKeyFile, `${folder}/api-key`);
    assert.deepEqual(encryption?.keys, [
      { id: '2026-07', file: `${folder}/encryption/2026-07` },
      { id: '2026-01', file: `${folder}/encryption/2026-01` },
    ]);
    const mounted = (pod: PodSpec) => ({
      at: pod.containers[0]!.volumeMounts.find(({ name }) => name === 'temporal')?.mountPath,
      files: pod.volumes
        .find(({ name }) => name === 'temporal')
        ?.projected?.sources.map(({ secret }) => [
          secret.name,
          ...secret.items.map(({ key, path }) => `${key} as ${path}`),
        ]),
    });
    const everything = {
      at: folder,
      files: [
        ['authority', 'root.pem as ca.crt'],
        ['mtls', 'tls.crt as tls.crt', 'tls.key as tls.key'],
        ['cloud', 'api-key as api-key'],
        ['payloads', '2026-07 as encryption/2026-07', '2026-01 as encryption/2026-01'],
      ],
    };
    const pods = podsOf(objects);
    assert.equal(pods.length, 3);
    for (const [name, pod] of pods) assert.deepEqual(mounted(pod), everything, name);

    // A configuration of one's own finds the files at the same place.
    const own = podsOf(await template({ stack: { existingSecret: 'mine', temporal } }));
    for (const [name, pod] of own) assert.deepEqual(mounted(pod), everything, name);
  });

  test('speaks TLS to Temporal only when told to', async () => {
    const configured = async (changes: Values) => {
      const temporal = { ...least.stack.temporal, ...changes };
      const objects = await template({ stack: { ...least.stack, temporal } });
      for (const [, pod] of podsOf(objects)) {
        const mounted = pod.volumes.some(({ name }) => name === 'temporal');
        assert.equal(mounted, 'apiKey' in changes);
      }
      return Stack.parse(configOf(objects)).temporal;
    };
    const address = {
      ...least.stack.temporal,
      namespace: 'default',
      taskQueue: 'slipway',
      ui: '',
    };
    assert.deepEqual(await configured({}), address);
    assert.equal((await configured({ taskQueue: 'team' })).taskQueue, 'team');
    assert.deepEqual(await configured({ tls: { enabled: true } }), { ...address, tls: {} });
    const key = await configured({ apiKey: { secret: 'cloud', key: 'key' } });
    assert.deepEqual(key, { ...address, apiKeyFile: '/etc/slipway-temporal/api-key' });
  });

  test("lets Prometheus, and who is named, read workers' metrics, and nobody else", async () => {
    const rendered = async (values: Values) => {
      const objects = await template({ ...least, ...values });
      const of = (kind: string, name: string) =>
        objects.find((object) => object.kind === kind && object.metadata.name === name)?.['spec'];
      return { of, config: Stack.parse(configOf(objects)) };
    };
    const peers = [{ namespaceSelector: {} }];
    const ports = [{ port: 'metrics' }];
    const ingress = async (values: Values) =>
      ((await rendered(values)).of('NetworkPolicy', 'ship-slipway-worker') as { ingress: unknown }).ingress;
    const serviceMonitor = { enabled: true };
    assert.deepEqual(await ingress({}), []);
    assert.deepEqual(await ingress({ metrics: { serviceMonitor } }), [{ ports }]);
    assert.deepEqual(await ingress({ networkPolicy: { metricsFrom: peers } }), [{ ports, from: peers }]);

    const { of, config } = await rendered({ metrics: { serviceMonitor } });
    const [pod] = podsOf([
      { kind: '', metadata: { name: '' }, spec: of('Deployment', 'ship-slipway-worker') },
    ]);
    const { ports: opened } = pod![1].containers[0]!;
    assert.deepEqual(opened, [{ name: 'metrics', containerPort: 7802 }]);
    assert.equal(config.workerMetrics, '0.0.0.0:7802');
    const service = of('Service', 'ship-slipway-worker') as { selector: object; ports: object[] };
    assert.deepEqual(service.ports, [{ name: 'metrics', port: 7802, targetPort: 'metrics' }]);
    const scraped = of('ServiceMonitor', 'ship-slipway-worker') as { selector: unknown; endpoints: object[] };
    assert.deepEqual(scraped.selector, { matchLabels: service.selector });
    assert.deepEqual(scraped.endpoints, [{ port: 'metrics', path: '/metrics', interval: '30s' }]);
  });

  test('keeps secrets out of environment and arguments', async () => {
    const objects = await template(least);
    const rest = JSON.stringify(objects.filter(({ kind }) => kind !== 'Secret'));
    for (const secret of ['secret@db', 'AKIA7', 'very-secret']) assert.ok(!rest.includes(secret), secret);
  });

  test('takes a Secret that is there instead, and then needs no other value', async () => {
    const objects = await template({ stack: { existingSecret: 'mine' } });
    assert.deepEqual(
      objects.filter(({ kind }) => kind === 'Secret'),
      [],
    );
    assert.match(JSON.stringify(objects), /"secretName":"mine"/);
  });

  test('says which value is missing or wrong', async () => {
    await assert.rejects(template({}), /stack\.\w+(\.\w+)?: /);
    const encrypted = (encryption: Values): Values => ({
      stack: { ...least.stack, temporal: { ...least.stack.temporal, encryption } },
    });
    const cases: [Values, RegExp][] = [
      [{ namespaces: [] }, /\/namespaces.*minItems/],
      [{ image: { digest: 'sha256:1' } }, /\/image\/digest/],
      [{ stack: { ...least.stack, postgres: 'mysql://x' } }, /\/stack\/postgres/],
      [encrypted({ secret: 'payloads' }), /stack\.temporal\.encryption\.keys: which of the Secret's keys/],
      [encrypted({ secret: 'payloads', keys: ['a b'] }), /\/stack\/temporal\/encryption\/keys\/0/],
      [{ worker: { replicaCount: 1 } }, /\/worker.*replicaCount/],
    ];
    for (const [values, problem] of cases)
      await assert.rejects(
        template({ ...least, ...values }),
        (error: Error) => problem.test(error.message.replace(/\n/g, ' ')),
        String(problem),
      );
  });

  test('runs every container as nobody, with nothing writable but volumes and without privileges', async () => {
    const everything = { ...least, worker: { versioning: { enabled: true } } };
    const pods = podsOf(await template(everything));
    assert.deepEqual(pods.map(([name]) => name.split(' ')[0]).sort(), ['Deployment', 'Deployment', 'Job']);
    for (const [name, { securityContext, containers }] of pods) {
      assert.equal(securityContext.runAsNonRoot, true, name);
      assert.deepEqual(securityContext.seccompProfile, { type: 'RuntimeDefault' }, name);
      for (const container of containers) {
        assert.deepEqual(
          container.securityContext,
          {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          name,
        );
        assert.ok(container.resources.limits.memory, name);
      }
    }
  });

  test('has a Deployment for every build that deployments are pinned to, with its own image', async () => {
    const versioning = {
      enabled: true,
      buildId: '0.2.0',
      keep: [{ buildId: '0.1.0', image: 'registry.example.com/slipway:0.1.0' }],
    };
    const workers = (await template({ ...least, image: { tag: '0.2.0' }, worker: { versioning } })).filter(
      ({ kind, metadata }) => kind === 'Deployment' && metadata.name.includes('worker'),
    );
    const images = workers.map((worker) => /"image":"([^"]+)"/.exec(JSON.stringify(worker))?.[1]);
    assert.deepEqual(images, ['slipway:0.2.0', 'registry.example.com/slipway:0.1.0']);
    const same = { ...versioning, keep: [{ buildId: '0.2.0', image: 'slipway:0.2.0' }] };
    await assert.rejects(template({ ...least, worker: { versioning: same } }), /"0\.2\.0" is the new one/);
  });
});

type PodSpec = {
  securityContext: { runAsNonRoot: boolean; seccompProfile: unknown };
  containers: {
    securityContext: unknown;
    resources: { limits: { memory: string } };
    ports?: object[];
    volumeMounts: { name: string; mountPath: string }[];
  }[];
  volumes: {
    name: string;
    projected?: { sources: { secret: { name: string; items: { key: string; path: string }[] } }[] };
  }[];
};
