import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { KubernetesObject, V1Service } from '@kubernetes/client-node';
import { MockActivityEnvironment } from '@temporalio/testing';
import { tidyActivities } from '../../activities/tidy.js';
import type { Replica } from '../../contract/pipeline.js';
import type { Platform } from '../../platform/open.js';
import { countCluster } from '../../platform/targets/kubernetes/count.js';
import { SlipwayError } from '../../contract/errors.js';
import type { Berth } from './berth.js';
import { blueGreen, Quay, rolling } from './quay.js';
import { image, openBerth } from './simulated-berth.js';

/** All that a release can ask for; services, models and fencing tokens are the same everywhere here. */
const everything = {
  replicas: 2,
  kubernetes: {
    ingress: { class: 'any', host: 'models.example.org' } as never,
    autoscaling: { min: 2, max: 3 },
  },
} as never;

const kinds =
  'deployments,replicasets,pods,services,ingresses,hpa,pdb,secrets,serviceaccounts,networkpolicies';

/** Whatever there is in a namespace, in full but for what changes by itself. */
async function allIn(berth: Berth, of: (object: KubernetesObject) => boolean = () => true): Promise<object> {
  const { items } = await berth.get<{ items: (KubernetesObject & Record<string, unknown>)[] }>(kinds);
  return Object.fromEntries(
    items.filter(of).map(({ kind, metadata, status: _, ...rest }) => {
      const { name, uid, generation, labels, annotations, deletionTimestamp } = metadata!;
      return [`${kind}/${name}`, { uid, generation, labels, annotations, deletionTimestamp, ...rest }];
    }),
  );
}

/** Tidies up as an installation does whose catalog says that only `live` serves. */
async function tidy({ target }: Berth, live: Replica[], token: number): Promise<void> {
  const catalog = {
    getService: async () => ({ token, holder: null, live: null }),
    getRoute: async () => ({ replicas: live }),
    keptReplicas: async () => [],
  };
  const platform = {
    catalog,
    stack: { drain: '0s' },
    targets: { kubernetes: target },
  } as unknown as Platform;
  await new MockActivityEnvironment().run(tidyActivities(platform).tidy, 'iris');
}

describe('two installations in one cluster, with a namespace each', () => {
  let one: Berth;
  let other: Berth;
  let live: Replica[];
  let untouched: object;
  let quay: Quay;
  before(async () => {
    [one, other] = await Promise.all([openBerth(), openBerth()]);
    quay = new Quay(one, image);
    // The same service, the same tokens: names of objects are the same.
    [live] = await Promise.all([quay.first(everything), new Quay(other, image).first(everything)]);
    await other.start(other.set(image, {}, { token: 2 }));
    untouched = await allIn(other);
  });
  after(async () => {
    await one?.close();
    await other?.close();
  });
  const assertUntouched = async () => assert.deepEqual(await allIn(other), untouched);

  test('each is told of its own only', async () => {
    for (const [berth, names] of [
      [one, ['iris--r1']],
      [other, ['iris--r1', 'iris--r2']],
    ] as const) {
      const found = await berth.target.list({ service: 'iris' });
      assert.deepEqual(
        found.map(({ node, name }) => `${node}/${name}`).sort(),
        names.map((name) => `${berth.name}/${name}`),
      );
      const { workloads, objects, error } = await countCluster(berth.cluster);
      assert.equal(error, null);
      assert.ok(objects.length > 0 && workloads.length === names.length);
      assert.ok(
        [...workloads.map(({ node }) => node), ...objects.map(({ namespace }) => namespace)].every(
          (at) => at === berth.name,
        ),
      );
    }
  });

  for (const [token, strategy] of [
    [2, rolling(1, 0)],
    [3, blueGreen],
  ] as const)
    test(`what one deploys, takes back and tidies up is nothing to the other (${strategy.kind})`, async () => {
      const was = await quay.everything();
      const takeover = await quay.begin(token, strategy, live, everything);
      const snapshot = await quay.before(takeover);
      await one.target.roll(takeover, one.watch(), () => Promise.resolve());
      await one.target.promote(takeover, one.watch());
      await assertUntouched();
      assert.deepEqual(await one.target.restore(takeover.set.grant, snapshot, one.watch()), []);
      await tidy(one, live, token);
      assert.deepEqual(await quay.everything(), was);
      await assertUntouched();
    });

  test('a rollback of one is none of the other', async () => {
    const newer = await quay.begin(4, blueGreen, live, everything);
    await one.target.promote(newer, one.watch());
    const back = await quay.begin(5, blueGreen, newer.replicas, everything);
    await one.target.promote(back, one.watch());
    await tidy(one, back.replicas, 5);
    assert.deepEqual(
      (await one.target.list()).map(({ name }) => name),
      ['iris--r5'],
    );
    await assertUntouched();
  });

  test('when one has nothing left, the other has everything', async () => {
    await tidy(one, [], 5);
    const { workloads, objects } = await countCluster(one.cluster);
    assert.deepEqual([workloads, objects], [[], []]);
    await assertUntouched();
  });
});

describe('two installations in one namespace', () => {
  let one: Berth;
  let other: Berth;
  let live: Replica[];
  before(async () => {
    one = await openBerth();
    other = one.other({ stack: `${one.name}-other` });
    live = await new Quay(one, image).first({ replicas: 2 }, 2);
  });
  after(async () => await one?.close());
  const own = () => allIn(one, ({ metadata }) => metadata?.labels?.['slipway.dev/stack'] === one.name);

  test('a service that another one has is refused before anything is made, and left alone', async () => {
    const was = await allIn(one);
    const refused = (kind: string, name: string) => (error: unknown) => {
      assert.ok(error instanceof SlipwayError, String(error));
      assert.equal(error.type, 'Conflict');
      const told = `${kind} "${name}" in namespace "${one.name}" exists and is not this installation's (label slipway.dev/stack: "${one.name}")`;
      assert.ok(error.message.startsWith(told), error.message);
      return true;
    };
    const same = other.set(image, {}, { token: 2 });
    await assert.rejects(other.admit(same, blueGreen), refused('deployment', 'iris--r2'));
    await assert.rejects(other.start(same), refused('deployment', 'iris--r2'));
    // Whose token nobody has used yet: by the Service that all releases of a service have.
    await assert.rejects(other.admit(other.set(image), blueGreen), refused('service', 'iris'));
    for (const name of ['iris--r1', 'iris--r2']) await other.target.remove({ node: one.name, name }, 0);
    await tidy(other, [], 9);
    assert.deepEqual(await allIn(one), was);
  });

  test('services of different names stand side by side, and go without each other', async () => {
    const was = await own();
    const lily = other.set(image, { replicas: 2 }, { service: 'lily', token: 2 });
    const replica = await other.up(lily);
    const takeover = { set: lily, replicas: [replica], strategy: blueGreen, live: [] };
    const snapshot: unknown = JSON.parse(JSON.stringify(await other.target.traffic(takeover, other.watch())));
    await other.target.promote(takeover, other.watch());
    assert.deepEqual(
      (await other.target.list()).map(({ name }) => name),
      ['lily--r2'],
    );
    assert.deepEqual(
      (await one.target.list()).map(({ name }) => name),
      ['iris--r2'],
    );
    const { spec } = await one.get<V1Service>('service', 'lily');
    assert.equal(spec?.selector?.['slipway.dev/stack'], other.cluster.stack);
    assert.deepEqual(await own(), was);
    assert.deepEqual(await other.target.restore(lily.grant, snapshot, other.watch()), []);
    await other.target.remove(replica, 0);
    await other.target.withdraw('lily', []);
    const { workloads, objects } = await countCluster(other.cluster);
    assert.deepEqual([workloads, objects], [[], []]);
    assert.deepEqual(await own(), was);
  });

  test('an undo leaves alone what has become the other one’s meanwhile', async () => {
    const quay = new Quay(one, image);
    const takeover = await quay.begin(9, blueGreen, live, { replicas: 2 });
    const snapshot = await quay.before(takeover);
    await one.target.promote(takeover, one.watch());
    // Somebody makes room for the other installation by hand.
    await one.kubectl('delete', 'deployments,services,pdb', '-l', `slipway.dev/stack=${one.name}`);
    const set = other.set(image, { replicas: 2 }, { token: 2 });
    const replica = await other.up(set);
    await other.target.promote({ set, replicas: [replica], strategy: blueGreen, live: [] }, other.watch());
    const theirs = () =>
      allIn(one, ({ metadata }) => metadata?.labels?.['slipway.dev/stack'] === other.cluster.stack);
    const was = await theirs();
    const notes = await one.target.restore(takeover.set.grant, snapshot, one.watch());
    for (const what of ['deployment "iris--r2"', 'service "iris"', 'service "iris--r2"'])
      assert.ok(
        notes.includes(`${what} in namespace "${one.name}" is another installation's by now: left alone`),
        notes.join('\n'),
      );
    for (const name of ['iris--r2', 'iris--r9']) await one.target.remove({ node: one.name, name }, 0);
    await tidy(one, [], 9);
    assert.deepEqual(await theirs(), was);
  });
});
