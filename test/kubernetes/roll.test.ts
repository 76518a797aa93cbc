import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Replica } from '../../contract/pipeline.js';
import { testStack } from '../support/stack.js';
import { probeImage } from '../targets/probe.js';
import type { Berth } from './berth.js';
import { openBerth } from './node-berth.js';
import { blueGreen, Quay, rolling } from './quay.js';
import { watching } from './watching.js';

const stack = await testStack();
// Pods that end as soon as they are told to: each waits for the one before.
const image = await probeImage(stack, { env: { PROBE_DRAINS: '1' } });

describe('replacing replicas in a cluster', () => {
  let berth: Berth;
  let quay: Quay;
  before(async () => {
    berth = await openBerth();
    quay = new Quay(berth, image);
  });
  after(async () => await berth.close());
  const at = (name: string): Replica[] => [{ node: berth.name, name, url: 'http://nowhere' }];

  test('there are never more than allowed nor fewer ready, and old ones lose their share first', async () => {
    const live = await quay.first({ replicas: 3 });
    const takeover = await quay.begin(2, rolling(1, 0), live, { replicas: 3 });
    const shares: [percent: number, old: number, fresh: number][] = [];
    const seen = await watching(berth, ['iris--r1', 'iris--r2'], () =>
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
    const seen = await watching(berth, ['iris--r2', 'iris--r3'], () =>
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
    const seen = await watching(berth, ['iris--r3', 'iris--r4'], () =>
      berth.target.roll(takeover, berth.watch(), async (percent) => {
        shares += 1;
        if (shares === 1) {
          await berth.kubectl('scale', 'deployment/iris--r3', '--replicas=5');
          await berth.kubectl('rollout', 'status', 'deployment/iris--r3', '--timeout=180s');
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
});
