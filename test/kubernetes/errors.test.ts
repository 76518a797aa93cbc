import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { connect as dial, createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { writeFile } from 'node:fs/promises';
import { execa } from 'execa';
import { SlipwayError } from '../../contract/errors.js';
import type { ImageRef } from '../../contract/names.js';
import { ask, askFor } from '../../platform/targets/kubernetes/apiserver/ask.js';
import { KubernetesError } from '../../platform/targets/kubernetes/apiserver/errors.js';
import { testCluster } from '../support/cluster.js';
import { probeImage } from '../targets/probe.js';
import { Berth } from './berth.js';

const { stack } = await testCluster();

describe('what a cluster refuses', () => {
  let image: ImageRef;
  let berth: Berth;
  before(async () => {
    image = await probeImage(stack);
    berth = await Berth.open();
  });
  after(async () => await berth.close());

  const readPods = (of: Berth, options: Parameters<typeof ask>[3] = {}) =>
    ask(of.cluster, 'listing pods', () => of.cluster.core.listNamespacedPod({ namespace: of.name }), options);
  const workloads = () => berth.kubectl('get', 'deployments,services,secrets', '-o', 'name');

  test('a permission that is missing is named, with verb, resource, namespace and user', async () => {
    const rules = [{ apiGroups: ['apps'], resources: ['deployments'], verbs: ['get'] }];
    const { kubeconfig, token } = await berth.somebody('reader', rules);
    await assert.rejects(berth.as(kubeconfig).start(berth.set(image)), (error) => {
      assert.ok(error instanceof SlipwayError);
      assert.equal(error.type, 'RolloutFailed');
      const { verb, resource, namespace, user } = error.details;
      assert.deepEqual(
        { verb, resource, namespace, user },
        {
          verb: 'get',
          resource: 'services',
          namespace: berth.name,
          user: `system:serviceaccount:${berth.name}:reader`,
        },
      );
      assert.match(
        error.message,
        /reading service "iris--r1" in namespace .* lacks the permission to get "services"/,
      );
      assert.ok(!inspect(error, { depth: 10 }).includes(token));
      return true;
    });
    assert.equal(await workloads(), '');
  });

  test('a token that is valid no more is named, never shown; the fresh one in the same file is used', async () => {
    const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }];
    const { kubeconfig, token } = await berth.somebody('leaver', rules);
    const leaver = berth.as(kubeconfig);
    await readPods(leaver);
    // Its tokens end with it, as others do with time.
    await berth.kubectl('delete', 'serviceaccount', 'leaver');
    await berth.kubectl('create', 'serviceaccount', 'leaver');
    let refusal: unknown;
    // The apiserver remembers for some seconds whom it has let in.
    await eventually(async () => {
      refusal = await readPods(leaver).then(
        () => undefined,
        (error: unknown) => error,
      );
      return refusal !== undefined;
    });
    assert.ok(refusal instanceof SlipwayError);
    assert.match(
      refusal.message,
      /does not accept the credentials of user "leaver" of context "ctx" in .*leaver: the token/,
    );
    assert.ok(!inspect(refusal, { depth: 10 }).includes(token));
    await berth.writeKubeconfig('leaver', { token: await berth.kubectl('create', 'token', 'leaver') });
    await readPods(leaver);
  });

  test('a namespace that does not exist', async () => {
    const nowhere = berth.set(image, { kubernetes: { namespace: 'no-such-place' } });
    await assert.rejects(
      berth.start(nowhere),
      (error) =>
        error instanceof SlipwayError &&
        error.type === 'NotFound' &&
        error.message.includes('there is no namespace "no-such-place" in the cluster at https://'),
    );
  });

  test('what an admission policy or webhook denies fails at once, in its own words, and nothing is made', async () => {
    const metadata = { name: berth.name };
    const policy = 'admissionregistration.k8s.io/v1';
    await berth.apply(
      {
        apiVersion: policy,
        kind: 'ValidatingAdmissionPolicy',
        metadata,
        spec: {
          failurePolicy: 'Fail',
          matchConstraints: {
            resourceRules: [
              { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['services'] },
            ],
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': berth.name } },
          },
          validations: [
            { expression: "object.spec.type != 'NodePort'", message: 'no ports on nodes, please' },
          ],
        },
      },
      {
        apiVersion: policy,
        kind: 'ValidatingAdmissionPolicyBinding',
        metadata,
        spec: { policyName: berth.name, validationActions: ['Deny'] },
      },
    );
    const denied = (text: RegExp) => async (): Promise<boolean> => {
      try {
        await berth.start(berth.set(image, {}, { token: 9 }));
      } catch (error) {
        assert.ok(error instanceof SlipwayError);
        const tried = error.message.startsWith('trying');
        if (tried) assert.match(error.message, text);
        if (tried) return true;
      }
      await berth.target.remove({ node: berth.name, name: 'iris--r9' }, 0);
      return false;
    };
    try {
      // Policies take effect a moment after they were made, which may be between trying and making.
      await eventually(denied(/trying service "iris--r9".*no ports on nodes, please/));
      assert.equal(await workloads(), '');
    } finally {
      for (const kind of ['validatingadmissionpolicybinding', 'validatingadmissionpolicy'])
        await berth.kubectl('delete', kind, berth.name);
    }
    const webhook = await denyingWebhook(berth, 'not on a Friday');
    try {
      await eventually(
        denied(/trying deployment "iris--r9".*admission webhook "no\.slipway\.test" denied.*not on a Friday/),
      );
      assert.equal(await workloads(), '');
    } finally {
      await webhook.close();
    }
  });

  test('an apiserver that is not there, or does not answer, is a passing fault that names it', async () => {
    const gone = await listening(createTcpServer());
    const address = `https://127.0.0.1:${(gone.address() as AddressInfo).port}`;
    await closed(gone);
    const nobody = berth.as(await berth.writeKubeconfig('gone', { token: 't' }, { server: address }));
    await assert.rejects(
      readPods(nobody),
      passing(new RegExp(`cannot reach the cluster at ${address}: .*ECONNREFUSED`)),
    );

    const silent = await listening(createTcpServer());
    const mute = `https://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const waiting = berth.as(await berth.writeKubeconfig('mute', { token: 't' }, { server: mute }));
    try {
      await assert.rejects(readPods(waiting, { timeout: 300 }), passing(/gave no answer within 0.3 s/));
      const stop = new AbortController();
      setTimeout(() => stop.abort(new Error('enough')), 100);
      const began = Date.now();
      await assert.rejects(readPods(waiting, { signal: stop.signal }), /^Error: enough$/);
      assert.ok(Date.now() - began < 2_000);
    } finally {
      silent.close();
    }
  });

  test('too many requests and errors of the server are passing faults, in their own words', async () => {
    let code = 429;
    const front = await listening(
      createServer((_: IncomingMessage, response: ServerResponse) => {
        response.writeHead(code, { 'content-type': 'application/json' });
        response.end(
          JSON.stringify({ kind: 'Status', message: 'etcd is slow, Bearer abc.def', reason: 'x', code }),
        );
      }),
    );
    const server = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
    const user = await berth.writeKubeconfig(
      'busy',
      { token: 't' },
      { server, 'insecure-skip-tls-verify': true },
    );
    try {
      for (code of [429, 500, 503])
        await assert.rejects(
          readPods(berth.as(user)),
          passing(new RegExp(`the cluster at ${server} answers ${code}: etcd is slow, Bearer …$`)),
        );
    } finally {
      await closed(front);
    }
  });

  test('a refusal by an apiserver that says it is not ready yet, or that does not last, is none', async () => {
    // When one is started anew it happens, or not, within milliseconds; this one takes its time.
    const script: number[] = [];
    const asked: string[] = [];
    const front = await listening(
      createServer((request: IncomingMessage, response: ServerResponse) => {
        asked.push(request.url === '/readyz' ? 'readyz' : 'pods');
        const code = script.shift() ?? 418;
        response.writeHead(code, { 'content-type': 'application/json' });
        const message =
          'pods is forbidden: User "u" cannot list resource "pods" in API group "" in the namespace "n"';
        const status = { kind: 'Status', message, reason: 'Forbidden', code };
        response.end(
          JSON.stringify(code === 200 ? { kind: 'PodList', apiVersion: 'v1', items: [] } : status),
        );
      }),
    );
    const server = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
    const user = { server, 'insecure-skip-tls-verify': true };
    const starting = berth.as(await berth.writeKubeconfig('starting', { token: 't' }, user));
    try {
      script.push(403, 500);
      await assert.rejects(readPods(starting), passing(/the apiserver is still starting$/));
      script.push(401, 200, 200);
      assert.deepEqual((await readPods(starting)).items, []);
      script.push(403, 200, 403);
      await assert.rejects(
        readPods(starting),
        (error) => error instanceof SlipwayError && error.details['verb'] === 'list',
      );
      assert.deepEqual(asked, ['pods', 'readyz', 'pods', 'readyz', 'pods', 'pods', 'readyz', 'pods']);
    } finally {
      await closed(front);
    }
  });

  test('what the cluster does not have is null, and requests are counted', async () => {
    const { cluster } = berth.other({});
    const read = () => cluster.core.readNamespacedPod({ name: 'none', namespace: berth.name });
    assert.equal(await askFor(cluster, 'reading pod "none"', read), null);
    await assert.rejects(
      ask(cluster, 'reading pod "none"', read),
      passing(/^reading pod "none": pods "none" not found$/),
    );
    assert.deepEqual(cluster.kubeconfig.requests.snapshot(), { 'GET pods': 2 });
  });

  test('one connection is used for many requests', async () => {
    let connections = 0;
    const { hostname, port } = new URL(berth.cluster.kubeconfig.host);
    const relay = await listening(
      createTcpServer((from) => {
        connections += 1;
        const to = dial(Number(port), hostname);
        for (const end of [from, to]) end.on('error', () => [from, to].forEach((one) => one.destroy()));
        from.pipe(to).pipe(from);
      }),
    );
    const server = `https://127.0.0.1:${(relay.address() as AddressInfo).port}`;
    const { token } = await berth.somebody('regular', [
      { apiGroups: [''], resources: ['pods'], verbs: ['list'] },
    ]);
    const other = berth.as(
      await berth.writeKubeconfig('relayed', { token }, { server, 'tls-server-name': 'kubernetes' }),
    );
    for (let i = 0; i < 20; i += 1) await readPods(other);
    relay.close();
    assert.equal(connections, 1);
  });

  test('a kubeconfig that cannot be used is named', async () => {
    const path = await berth.writeKubeconfig('broken', {});
    await writeFile(path, 'users: [{user: {token: geheim}\n  : x');
    assert.throws(
      () => berth.as(path),
      (error) =>
        error instanceof SlipwayError &&
        error.message.startsWith(`kubeconfig ${path}: is not YAML`) &&
        !inspect(error).includes('geheim'),
    );
    assert.throws(() => berth.as('/no/such/file'), /kubeconfig \/no\/such\/file: ENOENT/);
    const context = { config: { ...berth.cluster.config, context: 'nope' } };
    assert.throws(() => berth.other(context), /context "nope" names no cluster/);
  });
});

const passing = (text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof KubernetesError, inspect(error));
  assert.match(error.message, text);
  return true;
};

async function eventually(check: () => Promise<boolean>, pause = 200): Promise<void> {
  for (const end = Date.now() + 60_000; !(await check());) {
    assert.ok(Date.now() < end, 'it did not come about within 60 s');
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

const listening = <T extends Server>(server: T): Promise<T> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
const closed = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));

/** A real webhook on this machine that denies every Deployment of the berth. */
async function denyingWebhook(berth: Berth, text: string): Promise<{ close: () => Promise<void> }> {
  const address = berth.cluster.config.registry.replace(/:\d+$/, '');
  const { stdout: pem } = await execa('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', '-', '-out', '-', '-days', '2'],
    ...['-subj', '/CN=webhook', '-addext', `subjectAltName=IP:${address}`],
  ]);
  const server = await listening(
    createSecureServer({ key: pem, cert: pem }, (request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += String(chunk)));
      request.on('end', () => {
        const { request: review } = JSON.parse(body) as { request: { uid: string } };
        const answer = { uid: review.uid, allowed: false, status: { message: text } };
        response.setHeader('content-type', 'application/json');
        response.end(
          JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: answer }),
        );
      });
    }),
  );
  const exposed = await berth.test.expose((server.address() as AddressInfo).port);
  const certificate = /-----BEGIN CERTIFICATE-----[\s\S]*-----END CERTIFICATE-----/.exec(pem)![0];
  await berth.apply({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: berth.name },
    webhooks: [
      {
        name: 'no.slipway.test',
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        clientConfig: {
          url: `https://${address}:${exposed.port}/`,
          caBundle: Buffer.from(certificate).toString('base64'),
        },
        rules: [
          { apiGroups: ['apps'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['deployments'] },
        ],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': berth.name } },
      },
    ],
  });
  return {
    close: async () => {
      await berth.kubectl('delete', 'validatingwebhookconfiguration', berth.name);
      await exposed.close();
      await closed(server);
    },
  };
}
