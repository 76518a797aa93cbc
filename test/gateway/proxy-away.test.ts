import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Traffic } from '../support/traffic.js';
import { untilTrue } from '../support/until.js';
import { Pods } from './pods.js';
import { holdPart, releasePart } from '../support/harm.js';

describe('pods come and go while what leads to them stays as it was', () => {
  const pods = Pods.here(0.1);

  /** Connections that could not be made, so far. */
  async function refused(): Promise<number> {
    const metrics = await (await fetch(`${pods.world.gateway.url}/metrics`)).text();
    return Number(/^slipway_gateway_refused_connections_total (\d+)/m.exec(metrics)?.[1]);
  }

  test('a proxy goes on leading to a pod that is no more: requests are answered by those that are', async (t) => {
    await pods.scale(2);
    const [gone] = await pods.names();
    t.after(() => releasePart('proxy'));
    // As for half a minute after the apiserver was away.
    await holdPart('proxy');
    const through = new Traffic(pods.ask, 100);
    t.after(() => through.stop());
    await pods.berth.kubectl('delete', 'pod', gone!);
    const before = await refused();
    const { sent } = through;
    await untilTrue(async () => (await refused()) - before > 10 && through.sent - sent > 500, 120_000);
    await through.stop();
    assert.deepEqual(through.failures.slice(0, 5), []);
  });
});
