import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Traffic } from '../support/traffic.js';
import { untilTrue } from '../support/until.js';
import { Pods } from './pods.js';
import { StubbornClient } from './stubborn-client.js';

describe('pods behind one address, under many requests', () => {
  const pods = Pods.here(0.2);

  test('come and go: 100 a second through the gateway lose none, and come to each about as often', async (t) => {
    const client = new StubbornClient(pods.replica.url);
    const through = new Traffic(pods.ask, 100);
    const beside = new Traffic(() => client.predict(), 30);
    const stopped = (): Promise<unknown> => Promise.all([through.stop(), beside.stop()]);
    t.after(stopped);
    await untilTrue(() => through.ended > 100 && beside.ended > 30, 60_000);
    await pods.scale(2);
    await pods.scale(3);
    const names = await pods.names();
    const before = new Map(through.answers);
    const { sent } = through;
    await delay(10_000);
    const counts = names.map((name) => (through.answers.get(name) ?? 0) - (before.get(name) ?? 0));
    const all = through.sent - sent;
    await stopped();
    client.close();
    assert.deepEqual([through.failures, beside.failures], [[], []]);
    for (const count of counts)
      assert.ok(count > all * 0.15 && count < all * 0.55, `${counts.join()} of ${all}`);
    assert.ok(through.answers.size >= 4, `${through.answers.size} pods answered`);
  });
});
