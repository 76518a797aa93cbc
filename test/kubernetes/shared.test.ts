import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Deployment, V1NetworkPolicy, V1Secret } from '@kubernetes/client-node';
import type { Stack } from '../../contract/stack.js';
import { labels } from '../../platform/targets/kubernetes/objects/labels.js';
import { installationOf } from '../../platform/targets/installation.js';
import { image, openBerth } from './simulated-berth.js';

describe('what all releases in a namespace share', () => {
  test('the pull secret holds who may only read, and another password from the next release on', async () => {
    const registry = { url: 'http://registry.test:5000', username: 'shipper', password: 'may push' };
    const as = (password: string) => {
      const pull = { username: 'reader', password };
      return installationOf({ drain: '1s', registry: { ...registry, pull } } as Stack).credentials;
    };
    const other = await openBerth({ credentials: as('first') });
    const held = async () => {
      const { data } = await other.get<V1Secret>('secret', `slipway-${other.name}-registry`);
      return Buffer.from(data!['.dockerconfigjson']!, 'base64').toString();
    };
    const holding = (password: string) => {
      const auth = Buffer.from(`reader:${password}`).toString('base64');
      return { auths: { [other.cluster.config.registry]: { username: 'reader', password, auth } } };
    };
    try {
      await other.start(other.set(image, {}, { token: 1 }));
      assert.deepEqual(JSON.parse(await held()), holding('first'));
      assert.ok(!(await held()).includes(registry.password));
      await other.other({ credentials: as('second') }).start(other.set(image, {}, { token: 2 }));
      assert.deepEqual(JSON.parse(await held()), holding('second'));
    } finally {
      await other.close();
    }
  });

  test('models may call nobody, whatever was changed by hand, unless the configuration lets them', async () => {
    const other = await openBerth();
    const matchLabels = { [labels.stack]: other.name };
    const closed = async (): Promise<void> => {
      const { spec } = await other.get<V1NetworkPolicy>('networkpolicy', `slipway-${other.name}-egress`);
      // Without a rule for it, a direction that a policy is about is closed.
      assert.deepEqual(spec, { podSelector: { matchLabels }, policyTypes: ['Egress'] });
    };
    const spoil = (spec: object) =>
      other.kubectl(
        'patch',
        'networkpolicy',
        '--type=merge',
        '-p',
        JSON.stringify({ spec }),
        `slipway-${other.name}-egress`,
      );
    try {
      const { name } = await other.start(other.set(image, {}, { token: 1 }));
      await closed();
      const { spec } = await other.get<V1Deployment>('deployment', name);
      assert.equal(spec!.template.metadata!.labels![labels.stack], other.name);
      await spoil({ egress: [{}] });
      await other.start(other.set(image, {}, { token: 2 }));
      await closed();
      await spoil({ podSelector: { matchLabels: { app: 'other' } }, policyTypes: ['Ingress'] });
      await other.start(other.set(image, {}, { token: 2 }));
      await closed();
      const open = other.other({ config: { ...other.cluster.config, egress: 'open' } });
      await open.start(other.set(image, {}, { token: 3 }));
      assert.equal(await other.kubectl('get', 'networkpolicies', '-o', 'name'), '');
    } finally {
      await other.close();
    }
  });

  test('a policy of somebody else by that name is refused before anything is made, and left alone', async () => {
    const other = await openBerth();
    try {
      const name = `slipway-${other.name}-egress`;
      const spec = { podSelector: {}, policyTypes: ['Egress'] };
      await other.apply({
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name },
        spec,
      });
      const conflict = /networkpolicy "slipway-.*-egress" .* exists and is not this installation's/;
      await assert.rejects(other.admit(other.set(image)), conflict);
      await assert.rejects(other.start(other.set(image)), conflict);
      assert.equal(await other.kubectl('get', 'deployments', '-o', 'name'), '');
      const open = other.other({ config: { ...other.cluster.config, egress: 'open' } });
      await open.start(other.set(image));
      assert.deepEqual((await other.get<V1NetworkPolicy>('networkpolicy', name)).spec, spec);
    } finally {
      await other.close();
    }
  });

  test('two at once, of which one is removed as the other starts, keep what they share', async () => {
    for (let round = 0; round < 3; round += 1) {
      const other = await openBerth();
      try {
        await other.start(other.set(image, {}, { token: 1, service: 'one' }));
        await sleep(round * 50);
        await Promise.all([
          other.target.remove({ node: other.name, name: 'one--r1' }, 0),
          other.start(other.set(image, {}, { token: 2, service: 'two' })),
        ]);
        const left = await other.kubectl('get', 'secrets,serviceaccounts,networkpolicies', '-o', 'name');
        assert.match(left, new RegExp(`serviceaccount/slipway-${other.name}`));
        assert.match(left, new RegExp(`secret/slipway-${other.name}-registry`));
        assert.match(left, new RegExp(`networkpolicy.*/slipway-${other.name}-egress`));
      } finally {
        await other.close();
      }
    }
  });
});
