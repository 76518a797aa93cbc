import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import { request } from 'undici';
import type { ImageRef } from '../../contract/names.js';
import type { Berth } from './berth.js';
import { withBerth } from './node-berth.js';

describe("a release's pods on a node", () => {
  let image: ImageRef;
  let berth: Berth;
  withBerth((...given) => ([berth, image] = given));

  test('a pod of its own user, with nothing it could write to or gain', async () => {
    const set = berth.set(image, { replicas: 1 });
    const replica = await berth.up(set);
    const { body } = await request(`${replica.url}/env`);
    const env = (await body.json()) as Record<string, string>;
    assert.equal(env['MODEL_NAME'], 'iris');
    assert.equal(env['SLIPWAY_DRAIN'], '2');
    assert.equal(env['SLIPWAY_LINGER'], '6');
    assert.ok(!('SLIPWAY_ALLOW_PICKLE' in env));
    const pod = (await berth.get<{ items: V1Pod[] }>('pods')).items[0]!.metadata!.name!;
    const inside = (script: string) => berth.kubectl('exec', pod, '--', 'python3', '-c', script);
    assert.equal(await inside('import os; print(os.getuid())'), '65532');
    assert.equal(await inside("open('/tmp/x', 'w').write('x'); print('written')"), 'written');
    await assert.rejects(inside("open('/x', 'w')"), /Read-only file system/);
    assert.equal(await inside("import os; print(os.path.exists('/var/run/secrets/kubernetes.io'))"), 'False');
    const capabilities = await inside(
      "print([l for l in open('/proc/self/status') if l.startswith('CapEff')])",
    );
    assert.match(capabilities, /CapEff:\\t0+\\n/);
  });

  test('a node without the Gateway API cannot divide traffic by an HTTPRoute, and it is said before anything is made', async () => {
    const steps = [{ weight: 10, pause: true as const }];
    await assert.rejects(
      berth.admit(berth.set(image), { kind: 'canary', steps, traffic: 'httpRoute' }),
      /strategy\.traffic: the cluster has no HTTPRoute/,
    );
  });
});
