import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connections } from '../../contract/serving.js';
import { Traffic, usualRate } from '../support/traffic.js';
import { untilTrue } from '../support/until.js';
import { Pods } from './pods.js';
import { StubbornClient } from './stubborn-client.js';

describe('pods come and go behind one address', () => {
  const pods = Pods.here(0.1);

  test('requests through the gateway, and a client with connections of its own, lose none', async (t) => {
    const client = new StubbornClient(pods.replica.url);
    const through = new Traffic(pods.ask, usualRate);
    const beside = new Traffic(() => client.predict(), usualRate / 2);
    const stopped = (): Promise<unknown> => Promise.all([through.stop(), beside.stop()]);
    t.after(stopped);
    await untilTrue(() => through.ended > 20 && beside.ended > 10, 60_000);
    await pods.scale(1);
    await pods.scale(3);
    for (const name of await pods.names()) {
      await pods.berth.kubectl('delete', 'pod', name, '--wait=false');
      await pods.settled(3);
    }
    await stopped();
    client.close();
    assert.deepEqual([through.failures, beside.failures], [[], []]);
    const counted = await pods.world.catalog.trafficOf('iris', 'iris.r1');
    assert.equal(counted.failures, 0);
    // One that is gone within a moment is asked only by many.
    const least = usualRate < 100 ? 4 : 8;
    assert.ok(through.answers.size >= least, `${through.answers.size} pods answered`);
  });

  test('all pods are deleted at once: they answer until the new ones do, and lose nothing they were sent', async (t) => {
    const through = new Traffic(pods.ask, usualRate);
    t.after(() => through.stop());
    await untilTrue(() => through.ended > 10, 60_000);
    const names = await pods.names();
    const deleted = Date.now();
    await pods.berth.kubectl('delete', 'pod', ...names, '--wait=false');
    await untilTrue(async () => (await pods.ready()) > 0, 180_000);
    const gap = Date.now() - deleted;
    await pods.settled(3);
    await through.stop();
    // Whoever asks when nobody is there any more hears that nothing was sent.
    for (const failure of through.failures) assert.match(failure, /503 .*accepts a connection/);
    if (gap < connections.linger) assert.deepEqual(through.failures, []);
  });
});
