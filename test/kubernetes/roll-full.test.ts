import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { V1Node } from '@kubernetes/client-node';
import type { Replica } from '../../contract/pipeline.js';
import { testStack } from '../support/stack.js';
import { until } from '../support/until.js';
import { probeImage } from '../targets/probe.js';
import type { Berth } from './berth.js';
import { openBerth } from './node-berth.js';
import { Quay, rolling } from './quay.js';
import { watching } from './watching.js';

const stack = await testStack();
// Pods that end as soon as they are told to: each waits for the one before.
const image = await probeImage(stack, { env: { PROBE_DRAINS: '1' } });

describe('replacing replicas on a node that is full', () => {
  let berth: Berth;
  let quay: Quay;
  /** As a device plugin would advertise it. */
  const resource = 'slipway.test/accelerator';
  const path = `/status/capacity/${resource.replace('/', '~1')}`;
  let node: string;
  const spec = { replicas: 2, kubernetes: { gpus: { resource, count: 1 } } };
  const patch = (op: object) =>
    berth.kubectl('patch', 'node', node, '--subresource=status', '--type=json', '-p', JSON.stringify([op]));
  before(async () => {
    berth = await openBerth();
    quay = new Quay(berth, image);
    const { items } = await berth.get<{ items: V1Node[] }>('nodes');
    node = items[0]?.metadata?.name ?? '';
    await patch({ op: 'add', path, value: '2' });
    await until(async () => {
      const { status } = await berth.get<V1Node>('node', node);
      return status?.allocatable?.[resource] === '2' || null;
    });
  });
  after(async () => {
    await patch({ op: 'remove', path });
    await berth.close();
  });
  const at = (name: string): Replica[] => [{ node: berth.name, name, url: 'http://nowhere' }];

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
    const seen = await watching(berth, ['iris--r7', 'iris--r8'], async () => {
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
    const seen = await watching(berth, ['iris--r8', 'iris--r9'], async () => {
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
    const seen = await watching(berth, ['iris--r9', 'iris--r10'], async () => {
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
