import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { V1Ingress } from '@kubernetes/client-node';
import type { Replica } from '../../contract/pipeline.js';
import type { SlipwayError } from '../../contract/errors.js';
import type { Berth } from './berth.js';
import { canary, Quay } from './quay.js';
import { image, openBerth } from './simulated-berth.js';

type Route = {
  metadata: { managedFields: { manager: string }[]; annotations?: Record<string, string> };
  spec: {
    hostnames?: string[];
    rules: { backendRefs: { name: string; port: number; weight: number }[] }[];
  };
};

describe('sharing traffic in a cluster', () => {
  let berth: Berth;
  let quay: Quay;
  before(async () => {
    berth = await openBerth();
    quay = new Quay(berth, image);
  });
  after(async () => await berth.close());
  const at = (name: string): Replica[] => [{ node: berth.name, name, url: 'http://nowhere' }];
  const undo = (token: number, before: unknown) =>
    berth.target.restore(berth.set(image, {}, { token }).grant, before, berth.watch());

  test('gateways divide by themselves: there is only room made', async () => {
    const live = await quay.first({ replicas: 3, kubernetes: { ingress: { class: 'nginx' } as never } });
    const takeover = await quay.begin(2, canary('gateway'), live, { replicas: 3 });
    const was = await quay.everything();
    await berth.target.share(takeover, 50, berth.watch());
    assert.deepEqual(await quay.replicas('iris--r2'), [2, 2]);
    const { 'Deployment/iris--r2': _, ...now } = await quay.everything();
    const { 'Deployment/iris--r2': __, ...before } = was;
    assert.deepEqual(now, before);
    await quay.awaitBehind('iris--r1');
    await berth.target.remove(takeover.replicas[0]!, 0);
  });

  test('by the number of replicas behind one Service', async () => {
    const was = await quay.everything();
    const takeover = await quay.begin(3, canary('replicas'), at('iris--r1'), { replicas: 3 });
    const before = await quay.before(takeover);
    await berth.target.share(takeover, 25, berth.watch());
    assert.deepEqual(
      [await quay.replicas('iris--r1'), await quay.replicas('iris--r3')],
      [
        [3, 3],
        [1, 1],
      ],
    );
    await quay.awaitBehind('iris--r1', 'iris--r3');
    await berth.target.share(takeover, 50, berth.watch());
    assert.deepEqual([(await quay.replicas('iris--r1'))[0], await quay.replicas('iris--r3')], [2, [2, 2]]);
    assert.deepEqual(await undo(3, before), []);
    assert.deepEqual(await quay.replicas('iris--r1'), [3, 3]);
    await quay.awaitBehind('iris--r1');
    await berth.target.remove(takeover.replicas[0]!, 0);
    assert.deepEqual(await quay.everything(), was);
  });

  test("by a canary Ingress with nginx's annotations", async () => {
    const spec = {
      replicas: 2,
      kubernetes: { ingress: { class: 'nginx', host: 'a.example.org', path: '/p' } as never },
    };
    const was = await quay.everything();
    const takeover = await quay.begin(4, canary('nginx'), at('iris--r1'), spec);
    const before = await quay.before(takeover);
    for (const weight of [10, 50]) {
      await berth.target.share(takeover, weight, berth.watch());
      const { metadata, spec: made } = await berth.get<V1Ingress>('ingress', 'iris-canary');
      assert.equal(metadata?.annotations?.['nginx.ingress.kubernetes.io/canary'], 'true');
      assert.equal(metadata?.annotations?.['nginx.ingress.kubernetes.io/canary-weight'], String(weight));
      assert.equal(made?.rules?.[0]?.http?.paths[0]?.backend.service?.name, 'iris--r4');
      assert.equal(made?.rules?.[0]?.http?.paths[0]?.path, '/p');
    }
    assert.deepEqual(await undo(4, before), []);
    await assert.rejects(berth.get('ingress', 'iris-canary'), /NotFound/);
    await berth.target.remove(takeover.replicas[0]!, 0);
    assert.deepEqual(await quay.everything(), was);

    const next = await quay.begin(5, canary('nginx'), at('iris--r1'), spec);
    await berth.target.share(next, 10, berth.watch());
    await berth.target.promote(next, berth.watch());
    await assert.rejects(berth.get('ingress', 'iris-canary'), /NotFound/);
    assert.deepEqual(await quay.replicas('iris--r5'), [2, 2]);
    await berth.target.remove(at('iris--r1')[0]!, 0);
  });

  describe('by the weights of an HTTPRoute', () => {
    const route = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'iris' },
      spec: {
        parentRefs: [{ name: 'front' }],
        rules: [
          {
            matches: [{ path: { type: 'PathPrefix', value: '/predict' } }],
            backendRefs: [{ name: 'iris', port: 80 }],
          },
          { backendRefs: [{ name: 'elsewhere', port: 80 }] },
        ],
      },
    };
    const read = () => berth.get<Route>('httproute', 'iris', '--show-managed-fields');
    const state = async () => {
      const { metadata, spec } = await read();
      const managers = metadata.managedFields.map(({ manager }) => manager);
      return { spec, managers };
    };
    const weights = async () =>
      (await read()).spec.rules.map(({ backendRefs }) =>
        backendRefs.map(({ name, weight }) => [name, weight]),
      );

    test('without one, it is said before anything changes', async () => {
      const takeover = await quay.begin(6, canary('httpRoute'), at('iris--r5'));
      await assert.rejects(
        berth.target.traffic(takeover, berth.watch()),
        (error: SlipwayError) => error.type === 'NotFound' && /needs an HTTPRoute "iris"/.test(error.message),
      );
      await berth.target.remove(takeover.replicas[0]!, 0);
    });

    test("its owner's other rules stay, and in the end it is the owner's as it was", async () => {
      await berth.apply(route);
      const was = await state();
      const takeover = await quay.begin(7, canary('httpRoute'), at('iris--r5'));
      const before = await quay.before(takeover);
      await berth.target.share(takeover, 10, berth.watch());
      assert.deepEqual(await weights(), [
        [
          ['iris', 90],
          ['iris--r7', 10],
        ],
        [['elsewhere', 1]],
      ]);
      await berth.target.share(takeover, 50, berth.watch());
      await berth.target.share(takeover, 50, berth.watch());
      assert.deepEqual((await weights())[0], [
        ['iris', 50],
        ['iris--r7', 50],
      ]);
      assert.deepEqual(await undo(7, before), []);
      assert.deepEqual(await state(), was);
      await assert.rejects(
        berth.target.share(takeover, 60, berth.watch()),
        (error: SlipwayError) => error.type === 'Conflict' && error.message.startsWith('fenced:'),
      );
      await berth.target.remove(takeover.replicas[0]!, 0);

      const next = await quay.begin(8, canary('httpRoute'), at('iris--r5'));
      await berth.target.share(next, 10, berth.watch());
      await berth.target.promote(next, berth.watch());
      assert.deepEqual(await state(), was);
      await quay.awaitBehind('iris--r8');
      await berth.target.remove(at('iris--r5')[0]!, 0);
    });

    test('what its owner changes meanwhile stays; weights changed by hand are told', async () => {
      const takeover = await quay.begin(9, canary('httpRoute'), at('iris--r8'));
      const before = await quay.before(takeover);
      await berth.target.share(takeover, 20, berth.watch());
      const patch = (value: object[]) =>
        berth.kubectl(
          'patch',
          'httproute',
          'iris',
          '--type=json',
          '--field-manager=owner',
          '-p',
          JSON.stringify(value),
        );
      await patch([
        { op: 'add', path: '/spec/hostnames', value: ['iris.example.org'] },
        { op: 'replace', path: '/spec/rules/0/backendRefs/0/weight', value: 7 },
      ]);
      const notes = await undo(9, before);
      assert.match(
        notes.join('\n'),
        /httproute "iris" .*: spec\.rules\[0\]\.backendRefs\[0\]\.weight was changed by "owner" from 1 to 7: put back/,
      );
      assert.ok(!notes.some((text) => text.includes('hostnames')));
      const now = await read();
      assert.deepEqual(now.spec.hostnames, ['iris.example.org']);
      assert.deepEqual((await weights())[0], [['iris', 1]]);
      await berth.target.remove(takeover.replicas[0]!, 0);
    });
  });
});
