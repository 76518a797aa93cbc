import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect as dial, createServer as createTcpServer, type AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { SlipwayError } from '../../contract/errors.js';
import { ask, askFor } from '../../platform/targets/kubernetes/apiserver/ask.js';
import { KubernetesError } from '../../platform/targets/kubernetes/apiserver/errors.js';
import type { Berth } from './berth.js';
import { closed, listening } from './listening.js';
import { openBerth } from './simulated-berth.js';

describe('an apiserver that does not answer, or not as it should', () => {
  let berth: Berth;
  before(async () => {
    berth = await openBerth();
  });
  after(async () => await berth.close());

  const readPods = (of: Berth, options: Parameters<typeof ask>[3] = {}) =>
    ask(of.cluster, 'listing pods', () => of.cluster.core.listNamespacedPod({ namespace: of.name }), options);

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
});

const passing = (text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof KubernetesError, inspect(error));
  assert.match(error.message, text);
  return true;
};
