import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Node } from '@kubernetes/client-node';
import type { Replica } from '../../contract/pipeline.js';
import { testStack } from '../support/stack.js';
import { probeImage } from '../targets/probe.js';
import { Berth } from './berth.js';
import { blueGreen, Quay, rolling } from './quay.js';

const stack = await testStack();
const image = await probeImage(stack);

type Seen = { there: number; ready: number };

describe('replacing replicas in a cluster', () => {
  let berth: Berth;
  let quay: Quay;
  before(async () => {
    berth = await Berth.open();
    quay = new Quay(berth, image);
  });
  after(async () => await berth.close());
  const at = (name: string): Replica[] => [{ node: berth.name, name, url: 'http://nowhere' }];

  /** Looks at the pods of these workloads as often as it can while something goes on. */
  async function watching(workloads: string[], work: () => Promise<void>): Promise<Seen[]> {
    const seen: Seen[] = [];
    let over = false;
    const looking = (async () => {
      while (!over) {
        const { items } = await berth.cluster.core.listNamespacedPod({
          namespace: berth.name,
          labelSelector: `slipway.dev/workload in (${workloads.join(',')})`,
        });
        const ready = items.filter(
          ({ metadata, status }) =>
            metadata?.deletionTimestamp === undefined &&
            status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
        );
        // One whose containers have ended holds nothing any more.
        const there = items.filter(({ status }) => !['Succeeded', 'Failed'].includes(status?.phase ?? ''));
        seen.push({ there: there.length, ready: ready.length });
        await sleep(50);
      }
    })();
    try {
      await work();
    } finally {
      over = true;
      await looking;
    }
    return seen;
  }

  test('there are never more than allowed nor fewer ready, and old ones lose their share first', async () => {
    const live = await quay.first({ replicas: 3 });
    const takeover = await quay.begin(2, rolling(1, 0), live, { replicas: 3 });
    const shares: [percent: number, old: number, fresh: number][] = [];
    const seen = await watching(['iris--r1', 'iris--r2'], () =>
      berth.target.roll(takeover, berth.watch(), async (percent) => {
        const [[old], [fresh, ready]] = await Promise.all([
          quay.replicas('iris--r1'),
          quay.replicas('iris--r2'),
        ]);
        assert.equal(ready, fresh, 'a share is given to what is ready');
        shares.push([percent, old, fresh]);
        if (shares.length === 1) await quay.awaitBehind('iris--r1', 'iris--r2');
      }),
    );
    assert.ok(seen.length > 20, `looked ${seen.length} times`);
    assert.equal(Math.max(...seen.map(({ there }) => there)), 4);
    assert.equal(Math.min(...seen.map(({ ready }) => ready)), 3);
    assert.deepEqual(shares, [
      [33, 3, 1],
      [67, 2, 2],
      [100, 1, 3],
    ]);
    assert.deepEqual(await quay.replicas('iris--r1'), [0, 0]);
    await berth.target.promote(takeover, berth.watch());
    await quay.awaitBehind('iris--r2');
    await berth.target.remove(live[0]!, 0);
  });

  test('taken up by another worker, it goes on where it was', async () => {
    const takeover = await quay.begin(3, rolling(1, 0), at('iris--r2'), { replicas: 3 });
    const stop = new AbortController();
    let shares = 0;
    await assert.rejects(
      berth.target.roll(takeover, berth.watch(stop.signal), () => {
        // Killed just after the gateways followed, before an old one is told to go.
        if (++shares === 2) stop.abort(new Error('killed'));
        return Promise.resolve();
      }),
      /killed/,
    );
    const percents: number[] = [];
    const seen = await watching(['iris--r2', 'iris--r3'], () =>
      berth.other({}).target.roll(takeover, berth.watch(), (percent) => {
        percents.push(percent);
        return Promise.resolve();
      }),
    );
    assert.deepEqual(percents, [67, 100]);
    assert.ok(Math.max(...seen.map(({ there }) => there)) <= 4);
    assert.equal(Math.min(...seen.map(({ ready }) => ready)), 3);
    await berth.target.promote(takeover, berth.watch());
    await berth.target.remove(at('iris--r2')[0]!, 0);
  });

  test('live replicas that somebody scales meanwhile stay until the new ones are there, and it is told', async () => {
    const live = at('iris--r3');
    const takeover = await quay.begin(4, rolling(1, 0), live, { replicas: 3 });
    const before = await quay.before(takeover);
    const scaled =
      /deployment "iris--r3" .*: spec\.replicas was set to 5 by "kubectl" during this deployment/;
    let shares = 0;
    let fewest = Infinity;
    const seen = await watching(['iris--r3', 'iris--r4'], () =>
      berth.target.roll(takeover, berth.watch(), async (percent) => {
        shares += 1;
        if (shares === 1) {
          await berth.kubectl('scale', 'deployment/iris--r3', '--replicas=5');
          await berth.kubectl('rollout', 'status', 'deployment/iris--r3', '--timeout=60s');
        }
        const [[, old], [, fresh]] = await Promise.all([
          quay.replicas('iris--r3'),
          quay.replicas('iris--r4'),
        ]);
        if (shares > 1 && percent < 100) fewest = Math.min(fewest, old + fresh);
      }),
    );
    assert.ok(Math.max(...seen.map(({ there }) => there)) <= 6);
    assert.ok(fewest >= 5, `${fewest} were ready in between`);
    assert.deepEqual(await quay.replicas('iris--r3'), [0, 0]);
    assert.deepEqual(await quay.replicas('iris--r4'), [3, 3]);
    const notes = await berth.target.promote(takeover, berth.watch());
    assert.match(notes.join('\n'), scaled);
    assert.equal(notes.length, 1);
    // Repeated, as after a lost reply, it tells the same; so does the undo, which puts back what was before.
    assert.deepEqual(await berth.target.promote(takeover, berth.watch()), notes);
    const undone = await berth.target.restore(takeover.set.grant, before, berth.watch());
    assert.match(undone.join('\n'), scaled);
    assert.deepEqual(await quay.replicas('iris--r3'), [3, 3]);
    await berth.target.remove(takeover.replicas[0]!, 0);
  });

  test('a release kept for going back gets no requests while two others are mixed', async () => {
    const kept = at('iris--r3');
    const green = await quay.begin(5, blueGreen, kept, { replicas: 1 });
    await berth.target.promote(green, berth.watch());
    const takeover = await quay.begin(6, rolling(1, 0), at('iris--r5'), { replicas: 1 });
    let mixed = false;
    await berth.target.roll(takeover, berth.watch(), async () => {
      if (!mixed) await quay.awaitBehind('iris--r5', 'iris--r6');
      mixed = true;
    });
    assert.ok(mixed);
    assert.deepEqual(await quay.replicas('iris--r3'), [3, 3]);
    await berth.target.promote(takeover, berth.watch());
    for (const name of ['iris--r3', 'iris--r5', 'iris--r6']) await berth.target.remove(at(name)[0]!, 0);
  });

  describe('on a node that is full', () => {
    /** As a device plugin would advertise it. */
    const resource = 'slipway.test/accelerator';
    const path = `/status/capacity/${resource.replace('/', '~1')}`;
    let node: string;
    const spec = { replicas: 2, kubernetes: { gpus: { resource, count: 1 } } };
    const patch = (op: object) =>
      berth.kubectl('patch', 'node', node, '--subresource=status', '--type=json', '-p', JSON.stringify([op]));
    before(async () => {
      const { items } = await berth.get<{ items: V1Node[] }>('nodes');
      node = items[0]?.metadata?.name ?? '';
      await patch({ op: 'add', path, value: '2' });
      for (;;) {
        const { status } = await berth.get<V1Node>('node', node);
        if (status?.allocatable?.[resource] === '2') break;
        await sleep(500);
      }
    });
    after(async () => await patch({ op: 'remove', path }));

    /** What a rollout writes down before a live replica makes way for the first new one. */
    async function beforeRoom(token: number, live: Replica[]) {
      const set = berth.set(image, spec, { token });
      const replicas = berth.target
        .place(set)
        .map(({ node: place, name }) => ({ node: place, name, url: 'http://x' }));
      const takeover = { set, replicas, strategy: rolling(0, 1), live };
      return { set, room: await berth.target.traffic(takeover, berth.watch()) };
    }

    test('each new replica takes the place of an old one', async () => {
      const live = await quay.first(spec, 7);
      const seen = await watching(['iris--r7', 'iris--r8'], async () => {
        const takeover = await quay.begin(8, rolling(0, 1), live, spec);
        assert.deepEqual(await quay.replicas('iris--r7'), [1, 1]);
        await quay.awaitBehind('iris--r7');
        await berth.target.roll(takeover, berth.watch(), () => Promise.resolve());
        await berth.target.promote(takeover, berth.watch());
      });
      assert.equal(Math.max(...seen.map(({ there }) => there)), 2);
      assert.ok(Math.min(...seen.map(({ ready }) => ready)) >= 1);
      assert.deepEqual(await quay.replicas('iris--r8'), [2, 2]);
      await berth.target.remove(live[0]!, 0);
    });

    test('going back, which is not rolled first, keeps to that as well', async () => {
      const live = at('iris--r8');
      const shares: number[] = [];
      const seen = await watching(['iris--r8', 'iris--r9'], async () => {
        const takeover = await quay.begin(9, rolling(0, 1), live, spec);
        await berth.target.promote(takeover, berth.watch(), (percent) => {
          shares.push(percent);
          return Promise.resolve();
        });
      });
      assert.equal(Math.max(...seen.map(({ there }) => there)), 2);
      assert.ok(Math.min(...seen.map(({ ready }) => ready)) >= 1);
      // With nothing to spare, the last old one makes way for the second new one.
      assert.deepEqual(shares, [100, 100]);
      assert.deepEqual(await quay.replicas('iris--r9'), [2, 2]);
      await quay.awaitBehind('iris--r9');
      await berth.target.remove(live[0]!, 0);
    });

    test('undone, new ones make way for old ones one by one', async () => {
      const live = at('iris--r9');
      const was = await quay.everything();
      const { set, room } = await beforeRoom(10, live);
      const takeover = await quay.begin(10, rolling(0, 1), live, spec);
      const before = await quay.before(takeover);
      await berth.target.roll(takeover, berth.watch(), () => Promise.resolve());
      assert.deepEqual(await quay.replicas('iris--r9'), [0, 0]);
      const seen = await watching(['iris--r9', 'iris--r10'], async () => {
        assert.deepEqual(await berth.target.restore(set.grant, before, berth.watch()), []);
      });
      assert.ok(Math.min(...seen.map(({ ready }) => ready)) >= 1, 'somebody answers all the time');
      assert.deepEqual(await quay.replicas('iris--r9'), [2, 2]);
      await quay.awaitBehind('iris--r9');
      await berth.target.remove(takeover.replicas[0]!, 0);
      assert.deepEqual(await berth.target.restore(set.grant, room, berth.watch()), []);
      assert.deepEqual(await quay.everything(), was);
    });

    test('undone before anything was verified, the one that had made way is back', async () => {
      const live = at('iris--r9');
      const was = await quay.everything();
      const { set, room } = await beforeRoom(11, live);
      const takeover = await quay.begin(11, rolling(0, 1), live, spec);
      assert.deepEqual(await quay.replicas('iris--r9'), [1, 1]);
      await berth.target.remove(takeover.replicas[0]!, 0);
      assert.deepEqual(await berth.target.restore(set.grant, room, berth.watch()), []);
      assert.deepEqual(await quay.replicas('iris--r9'), [2, 2]);
      assert.deepEqual(await quay.everything(), was);
    });
  });
});
