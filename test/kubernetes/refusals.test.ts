import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { SlipwayError } from '../../contract/errors.js';
import { ask } from '../../platform/targets/kubernetes/apiserver/ask.js';
import { untilTrue } from '../support/until.js';
import type { Berth } from './berth.js';
import { image, withBerth } from './simulated-berth.js';
import { denyingWebhook } from './webhook.js';

describe('what a cluster refuses', () => {
  let berth: Berth;
  withBerth((given) => (berth = given));

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
    await untilTrue(async () => {
      refusal = await readPods(leaver).then(
        () => undefined,
        (error: unknown) => error,
      );
      return refusal !== undefined;
    }, 60_000);
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
      await untilTrue(denied(/trying service "iris--r9".*no ports on nodes, please/), 60_000);
      assert.equal(await workloads(), '');
    } finally {
      for (const kind of ['validatingadmissionpolicybinding', 'validatingadmissionpolicy'])
        await berth.kubectl('delete', kind, berth.name);
    }
    const webhook = await denyingWebhook(berth, 'not on a Friday');
    try {
      await untilTrue(
        denied(/trying deployment "iris--r9".*admission webhook "no\.slipway\.test" denied.*not on a Friday/),
        60_000,
      );
      assert.equal(await workloads(), '');
    } finally {
      await webhook.close();
    }
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
