import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { rolloutActivities } from '../../activities/rollout.js';
import { undoActivities } from '../../activities/undo.js';
import type { Effect } from '../../contract/journal.js';
import type { Grant } from '../../contract/pipeline.js';
import type { Platform } from '../../platform/open.js';
import { MemoryCatalog } from '../support/memory-catalog.js';
import type { Berth } from './berth.js';
import { blueGreen, Quay } from './quay.js';
import { image, openBerth } from './simulated-berth.js';

/** What activities work with over a berth. */
function platformOf({ target }: Berth, catalog: object): Platform {
  const storage = { put: () => Promise.resolve({}) };
  const stack = { drain: '2s' };
  return { catalog, storage, stack, targets: { kubernetes: target } } as unknown as Platform;
}

/** One attempt at taking an effect back; answers its notes. */
function undo(berth: Berth, grant: Grant, effect: Effect): Promise<string[]> {
  const catalog = { markUndone: () => Promise.resolve(), audit: () => Promise.resolve() };
  const entry = { id: 1, ...grant, deployment: grant.deployment.workflowId, effect, state: 'done' as const };
  return new MockActivityEnvironment().run(
    undoActivities(platformOf(berth, catalog)).undoEffect,
    grant,
    entry,
  );
}

/** A release that has just taken over from another, and what was journaled of it. */
async function takenOver(berth: Berth) {
  const quay = new Quay(berth, image);
  const live = await quay.first();
  const was = await quay.everything();
  const takeover = await quay.begin(2, blueGreen, live);
  const before = await quay.before(takeover);
  await berth.target.promote(takeover, berth.watch());
  const [{ node, name }, { grant, release }] = [takeover.replicas[0]!, takeover.set];
  const of = { target: 'kubernetes' as const, node };
  const traffic: Effect = { kind: 'traffic', key: 'traffic', ...of, release, before };
  const replica: Effect = { kind: 'replica', key: 'replica', ...of, name };
  return { quay, was, set: takeover.set, grant, traffic, replica };
}

/** Passes once `check` holds: the apiserver learns of roles a moment later, and remembers whom it has let in. */
async function eventually<T>(check: () => Promise<T | false>, within = 30_000): Promise<T> {
  for (const end = Date.now() + within; ; await sleep(500)) {
    const found = await check();
    if (found !== false) return found;
    assert.ok(Date.now() < end, 'it never came about');
  }
}

describe('an undo in a namespace that was deleted meanwhile', () => {
  test('has nothing left to do, and says so, for one whose roles went along', async () => {
    const berth = await openBerth();
    const { grant, traffic, replica } = await takenOver(berth);
    const { kubectl } = berth.plane;
    const user = ['--serviceaccount', `default:${berth.name}`];
    await kubectl(['-n', 'default', 'create', 'serviceaccount', berth.name]);
    await kubectl(['create', 'clusterrole', berth.name, '--verb=get', '--resource=namespaces']);
    await kubectl(['create', 'clusterrolebinding', berth.name, '--clusterrole', berth.name, ...user]);
    await berth.kubectl('create', 'rolebinding', 'ships', '--clusterrole=admin', ...user);
    const token = await kubectl(['-n', 'default', 'create', 'token', berth.name]);
    const limited = berth.as(await berth.writeKubeconfig('limited', { token }));
    const patched = (what: string, finalizers: string[] | null) =>
      berth.kubectl('patch', what, '--type=merge', '-p', JSON.stringify({ metadata: { finalizers } }));
    const told = async (who: Berth, what: string) => {
      assert.deepEqual(await undo(who, grant, traffic), [
        `namespace "${berth.name}" ${what}, and with it what was to be put back`,
      ]);
      assert.deepEqual(await undo(who, grant, replica), [
        `namespace "${berth.name}" ${what}, and with it deployment "iris--r2"`,
      ]);
    };
    try {
      await berth.kubectl('create', 'configmap', 'stays');
      await patched('configmap/stays', ['slipway.test/stays']);
      // The new release is still there when the one before is gone already.
      await patched('deployment/iris--r2', ['slipway.test/stays']);
      await kubectl(['delete', 'namespace', berth.name, '--wait=false']);
      await berth.kubectl('wait', '--for=delete', 'deployment/iris--r1', '--timeout=60s');
      const notes = await undo(berth, grant, traffic);
      assert.match(notes.join(), /is being deleted, and with it what was to be put back$/);
      await patched('deployment/iris--r2', null);
      await berth.kubectl('wait', '--for=delete', 'deployment/iris--r2', '--timeout=60s');
      for (const who of [berth, limited]) await told(who, 'is being deleted');
      await patched('configmap/stays', null);
      await kubectl(['wait', '--for=delete', `namespace/${berth.name}`, '--timeout=60s']);
      for (const who of [berth, limited]) await told(who, 'is gone');
    } finally {
      await kubectl(['delete', 'clusterrolebinding,clusterrole', berth.name]);
      await kubectl(['-n', 'default', 'delete', 'serviceaccount', berth.name]);
      await berth.close();
    }
  });
});

describe('an undo that is refused', () => {
  let berth: Berth;
  after(async () => await berth.close());

  /** What an attempt fails with: whether it is tried again, and the text. */
  const failureOf = async (attempt: Promise<unknown>) => {
    const error: unknown = await attempt.then(
      () => assert.fail('it succeeded'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof ApplicationFailure, String(error));
    return { again: error.nonRetryable !== true, message: error.message };
  };

  test('waits for who may lift that: rights are given back, then a fresh token', async () => {
    berth = await openBerth();
    const { quay, was, set, grant, traffic, replica } = await takenOver(berth);
    const all = [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }];
    const { kubeconfig } = await berth.somebody('worker', all);
    const worker = berth.as(kubeconfig);
    const allow = (rules: object[]) =>
      berth.apply({
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'Role',
        metadata: { name: 'worker' },
        rules,
      });

    const reading = [{ apiGroups: ['*'], resources: ['*'], verbs: ['get', 'list', 'watch'] }];
    await allow(reading);
    for (const [effect, lacking] of [
      [traffic, /lacks the permission to patch "deployments" of API group "apps" in namespace "t-\w+"/],
      [replica, /lacks the permission to delete "deployments" of API group "apps" in namespace "t-\w+"/],
    ] as const) {
      const { again, message } = await failureOf(undo(worker, grant, effect));
      assert.match(message, lacking);
      assert.ok(again, 'an undo is tried again');
    }

    const catalog = new MemoryCatalog();
    const token = await catalog.openGrant('iris', grant.deployment, 2);
    const { model, spec } = set;
    const candidate = { id: 'iris.r3', model, image, spec, target: 'kubernetes' as const };
    const forward = await failureOf(
      new MockActivityEnvironment().run(
        rolloutActivities(platformOf(worker, catalog)).rollout,
        { ...grant, token },
        candidate,
        blueGreen,
      ),
    );
    assert.match(forward.message, /lacks the permission to/);
    assert.ok(!forward.again, 'a stage is not');

    await allow(all);
    await berth.kubectl('delete', 'serviceaccount', 'worker');
    await berth.kubectl('create', 'serviceaccount', 'worker');
    const expired = await eventually(async () => {
      const tried = await undo(worker, grant, traffic).catch((error: unknown) => error);
      return tried instanceof ApplicationFailure && tried;
    });
    assert.match(expired.message, /does not accept the credentials of user "worker"/);
    assert.notEqual(expired.nonRetryable, true);

    const fresh = await berth.kubectl('create', 'token', 'worker');
    assert.equal(await berth.writeKubeconfig('worker', { token: fresh }), kubeconfig);
    for (const effect of [traffic, replica]) assert.deepEqual(await undo(worker, grant, effect), []);
    await berth.kubectl('delete', 'serviceaccount', 'worker');
    assert.deepEqual(await quay.everything(), was);
  });
});
