import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ApiClient, ApiFailure } from '../../api/client.js';
import type { Stack } from '../../contract/stack.js';
import { Shipyard } from '../support/deployments.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { whatIsKept } from '../support/raw-temporal.js';
import { until } from '../support/until.js';
import { chart, runHelm, withValues, type Values } from './helm.js';
import { apiKey, Ground } from './installed.js';

describe('Slipway installed in a cluster', { timeout: 1_800_000 }, () => {
  let ground: Ground;
  let shipyard: Shipyard;
  let values: Values;
  let api: ApiClient;
  let urls: { api: string; gateway: string };

  before(async () => {
    shipyard = await Shipyard.open();
    ground = await Ground.open();
    const { worker } = ground.values as { worker: object };
    const versioning = { enabled: true, buildId: 'one' };
    values = { ...ground.values, worker: { ...worker, replicas: 1, versioning } };
    await ground.install('install', values);
    const port = (name: string) =>
      ground.get('service/test-slipway', `{.spec.ports[?(@.name=="${name}")].nodePort}`);
    const host = ground.cluster.config.address!;
    urls = { api: `http://${host}:${await port('api')}`, gateway: `http://${host}:${await port('gateway')}` };
    const secret = await ground.get('secret/test-slipway-stack', '{.data.stack\\.json}');
    const { token } = JSON.parse(Buffer.from(secret, 'base64').toString()) as Stack;
    api = new ApiClient(urls.api, token);
  });
  after(async () => {
    await ground?.close();
    await shipyard?.close();
  });

  test('is ready: API and gateway answer, workers poll as the current build', async () => {
    for (const url of [urls.api, urls.gateway]) assert.equal((await fetch(`${url}/healthz`)).status, 200);
    await assert.rejects(new ApiClient(urls.api, 'guessed').call('listDeployments'), ApiFailure);
    assert.deepEqual(await api.call('listServices'), []);
    assert.equal(await currentBuild(), 'one');
    const { pollers } = await ground.temporal.workflowService.describeTaskQueue({
      namespace: ground.app,
      taskQueue: { name: 'slipway' },
    });
    assert.ok(pollers!.length > 0);
  });

  test('asks Temporal with certificate and API key, which are in no object but their Secrets', async () => {
    await api.call('listDeployments');
    const methods = new Set(ground.front.requests.map(({ method }) => method));
    for (const method of [
      'PollWorkflowTaskQueue',
      'SetWorkerDeploymentCurrentVersion',
      'ListWorkflowExecutions',
    ])
      assert.ok(methods.has(method), `${method} of ${[...methods].join(', ')}`);
    const keys = new Set(ground.front.requests.map(({ authorization }) => authorization));
    assert.deepEqual([...keys], [`Bearer ${apiKey}`]);
    const objects = await ground.cluster.kubectl(['get', 'all,configmaps', '-n', ground.app, '-o', 'yaml']);
    for (const secret of [apiKey, 'PRIVATE KEY']) assert.ok(!objects.includes(secret), secret);
  });

  test("has workers' metrics behind a Service", async () => {
    const service = `/api/v1/namespaces/${ground.app}/services/test-slipway-worker:metrics/proxy/metrics`;
    const text = await ground.cluster.kubectl(['get', '--raw', service]);
    assert.match(text, /^temporal_num_pollers\{.*task_queue="slipway".*\} \d/m);
  });

  test('lets workers do what shipping takes, where it takes place, and nothing else', async () => {
    const { app, models } = ground;
    const inModels = { namespace: models };
    const changed = ['deployments.apps', 'services', 'ingresses.networking.k8s.io'];
    const more = ['horizontalpodautoscalers.autoscaling', 'poddisruptionbudgets.policy'];
    for (const resource of [...changed, ...more])
      for (const verb of ['get', 'create', 'patch', 'delete'])
        assert.ok(await ground.may('test-slipway-worker', verb, resource, inModels), `${verb} ${resource}`);
    const may = (verb: string, resource: string, where: { namespace?: string; subresource?: string } = {}) =>
      ground.may('test-slipway-worker', verb, resource, where);
    assert.ok(await may('get', 'secrets/slipway-test-registry', inModels));
    const policies = 'networkpolicies.networking.k8s.io';
    for (const verb of ['get', 'patch', 'delete'])
      assert.ok(await may(verb, `${policies}/slipway-test-egress`, inModels), verb);
    assert.ok(await may('create', policies, inModels));
    assert.ok(await may('watch', 'pods', inModels));
    assert.ok(await may('get', 'pods', { ...inModels, subresource: 'log' }));
    assert.ok(await may('list', 'nodes'));
    for (const [verb, resource, where] of [
      ['get', 'secrets', inModels],
      ['list', 'secrets', inModels],
      ['patch', policies, inModels],
      ['get', 'secrets', { namespace: app }],
      ['get', 'secrets', {}],
      ['create', 'deployments.apps', { namespace: app }],
      ['create', 'deployments.apps', { namespace: 'default' }],
      ['create', 'pods', { ...inModels, subresource: 'exec' }],
      ['create', 'roles.rbac.authorization.k8s.io', inModels],
      ['create', 'namespaces', {}],
      ['patch', 'nodes', {}],
      ['*', '*', {}],
    ] as const)
      assert.ok(!(await may(verb, resource, where)), `${verb} ${resource} ${JSON.stringify(where)}`);
    const server = (verb: string, resource: string) =>
      ground.may('test-slipway-server', verb, resource, inModels);
    assert.ok(await server('get', 'deployments.apps'));
    for (const [verb, resource] of [
      ['patch', 'deployments.apps'],
      ['get', 'secrets'],
    ] as const)
      assert.ok(!(await server(verb, resource)), `${verb} ${resource}`);
  });

  test('ships a model with the rights it has, and predicts', async () => {
    const model = await shipyard.greeter('m', { greeting: 'Ahoy' });
    // There is no engine in the cluster: the stack's worker builds, in the registry both have.
    await shipyard.ship({ model });
    const { workflowId: id } = await api.call('deploy', { body: { model, target: 'kubernetes' } });
    const status = await ended(id);
    assert.equal(status.state, 'succeeded', JSON.stringify(status.failure));
    const answer = await fetch(`${urls.gateway}/v1/models/${model}/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input: 'Ada' }),
    });
    assert.deepEqual([answer.status, await answer.json()], [200, { output: 'Ahoy, Ada!' }]);
    const { encodings } = await whatIsKept(ground.temporal, id);
    assert.deepEqual([...new Set(encodings)], ['binary/encrypted']);
  });

  test('says what is missing when a source has to be built and there is no engine', async () => {
    const model = shipyard.name();
    await shipyard.put(model, 'source', await greeterSource({ 'unbuilt.txt': model }));
    await shipyard.put(model, 'weights', await greeterWeights());
    const { workflowId: id } = await api.call('deploy', { body: { model, target: 'kubernetes' } });
    const { state, failure } = await ended(id);
    assert.deepEqual([state, failure?.type], ['failed', 'BuildFailed']);
    assert.match(failure!.message, /no engine to build with.*builder\.docker/);
  });

  test('an upgrade leaves the build that deployments are pinned to, and starts new ones on the new', async () => {
    const { worker, image } = values as { worker: object; image: { repository: string; digest: string } };
    const old = { buildId: 'one', image: `${image.repository}@${image.digest}` };
    const versioning = { enabled: true, buildId: 'two', keep: [old] };
    await ground.install('upgrade', { ...values, worker: { ...worker, versioning, replicas: 1 } });
    assert.equal(await currentBuild(), 'two');
    const names = await ground.get('deployments', '{.items[*].metadata.name}');
    for (const build of ['one', 'two']) assert.match(names, new RegExp(`test-slipway-worker-${build}-`));
    // With the token that was made at the installation.
    await api.call('listServices');
  });

  test('objects of every option are such that the apiserver takes them', async () => {
    const { app, cluster, models } = ground;
    const ingress = { enabled: true, className: 'nginx', host: 'a.example.com', tlsSecret: 'tls' };
    const all = {
      ...values,
      nameOverride: 'all',
      ingress: { gateway: ingress, api: ingress },
      networkPolicy: {
        models: { enabled: true, from: [{ podSelector: {} }], egress: [{ ports: [{ port: 53 }] }] },
        gatewayFrom: [{ namespaceSelector: {} }],
      },
      rbac: { httpRoutes: true, readSecrets: ['tls'] },
      caBundle: { configMap: 'ca' },
      worker: { cache: { volume: { emptyDir: {} } }, priorityClassName: 'system-cluster-critical' },
    };
    const objects = await withValues(all, (file) =>
      runHelm(['template', 'all', chart, '-f', file, '-n', app, '--kube-version', '1.34.0']),
    );
    const told = await cluster.kubectl(['apply', '--dry-run=server', '-f', '-'], { input: objects });
    for (const what of ['ingress', 'networkpolicy', 'role', 'deployment', 'job', 'secret'])
      if (what !== 'job')
        assert.match(told, new RegExp(`^${what}.*created \\(server dry run\\)`, 'm'), models);
  });

  test('helm uninstall leaves nothing', async () => {
    await ground.helm('uninstall', 'test', '--wait', '--timeout', '5m');
    const kinds =
      'all,secrets,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,ingresses,jobs';
    const selector = 'app.kubernetes.io/managed-by=Helm';
    for (const namespace of [ground.app, ground.models])
      await until(async () => {
        const left = await ground.cluster.kubectl([
          'get',
          kinds,
          '-n',
          namespace,
          '-l',
          selector,
          '-o',
          'name',
        ]);
        return left === '' ? true : null;
      });
    const wide = await ground.cluster.kubectl(['get', 'clusterroles,clusterrolebindings', '-o', 'name']);
    assert.ok(!wide.includes(ground.app), wide);
  });

  const ended = (id: string) =>
    until(async () => {
      const status = await api.call('getDeployment', { params: { id } });
      return status.state === 'succeeded' || status.state === 'failed' ? status : null;
    }, 300_000);

  const currentBuild = async (): Promise<string | null | undefined> => {
    const { workerDeploymentInfo: info } = await ground.temporal.workflowService.describeWorkerDeployment({
      namespace: ground.app,
      deploymentName: 'test-slipway',
    });
    return info?.routingConfig?.currentDeploymentVersion?.buildId;
  };
});
