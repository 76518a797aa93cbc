import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { testCluster } from '../support/cluster.js';
import { probeImage } from '../targets/probe.js';
import { byEnd, byEvent, byScheduler, failure } from './failures.js';
import { Ground } from './ground.js';

/** Milliseconds from when the cluster knows until the rollout has failed. */
const bound = 5_000;

describe('a workload that cannot become ready is told within seconds', () => {
  let ground: Ground;
  let image: Awaited<ReturnType<typeof probeImage>>;
  let registry: string;
  before(async () => {
    const home = await testCluster();
    ({ registry } = home.config);
    image = await probeImage(home.stack);
    ground = await Ground.open(home, image);
  });
  after(async () => await ground?.close());

  test('of its end', async () => {
    await ground.sow('crash', { env: { PROBE_EXIT: '3' } });
    assert.match((await failure(ground, 'crash', byEnd, {}, bound)).message, /exit code 3/);
  });

  test('of its image that is missing', async () => {
    const missing = `${registry}/${image.repository}@sha256:${'0'.repeat(64)}`;
    await ground.sow('absent', { image: missing });
    const known = byEvent(/^Failed to pull image/);
    assert.match((await failure(ground, 'absent', known, {}, bound)).message, /not found$/);
  });

  test('of the room that there is not', async () => {
    await ground.sow('big', { cpu: '999' });
    assert.match((await failure(ground, 'big', byScheduler, {}, bound)).message, /Insufficient cpu/);
  });
});
