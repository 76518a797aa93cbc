import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { testCluster } from '../support/cluster.js';
import { untilTrue } from '../support/until.js';
import { probeImage } from '../targets/probe.js';
import { Ground } from './ground.js';
import { holdPart, killPart, releasePart } from '../support/harm.js';

const home = await testCluster();

// `apiserver-away.test.ts` with a real node, and for as long as it takes until nodes count as gone.
describe('waiting for a workload while the apiserver is away', () => {
  let ground: Ground;
  before(async () => {
    ground = await Ground.open(home, await probeImage(home.stack));
  });
  after(async () => await ground.close());

  test('an apiserver that hangs for a while is a pause of the wait', async () => {
    await ground.sow('hanging', { replicas: 2, env: { PROBE_READY_AFTER: '8' } });
    const wait = ground.ready('hanging', { budget: '30s' });
    await running('hanging', 2);
    await killPart('apiserver', 'SIGSTOP');
    await sleep(15_000);
    await killPart('apiserver', 'SIGCONT');
    await wait;
  });

  test('an apiserver that is killed for a minute is a pause of the wait, longer than the budget', async () => {
    await ground.sow('killed', { replicas: 2, env: { PROBE_READY_AFTER: '20' } });
    const wait = ground.ready('killed', { budget: '45s' });
    await running('killed', 2);
    await holdPart('apiserver');
    ground.seen.length = 0;
    await sleep(60_000);
    const messages = ground.seen.map(({ message }) => message);
    await releasePart('apiserver');
    const back = Date.now();
    // Kubernetes' own parts pause for up to half a minute between attempts to reach it.
    await Promise.race([wait, sleep(120_000).then(() => assert.fail('still waiting two minutes later'))]);
    assert.ok(Date.now() > back);
    assert.ok(messages.length >= 50, `${messages.length} heartbeats in a minute`);
    assert.match(
      messages.at(-1)!,
      /^0 of 2 ready after \d+ s of 45s; no word from the cluster for \d\d s: .*ECONNREFUSED/,
    );
  });

  test('what fails while the apiserver is away is told once it is back', async () => {
    await ground.sow('crash', { env: { PROBE_EXIT: '4', PROBE_EXIT_AFTER: '6' } });
    const wait = assert.rejects(ground.ready('crash'), /ended with exit code 4: ModuleNotFoundError/);
    await running('crash', 1);
    await holdPart('apiserver');
    await sleep(8_000);
    await releasePart('apiserver');
    await wait;
  });

  /** Waits until so many pods of a workload run. */
  async function running(name: string, pods: number): Promise<void> {
    await untilTrue(async () => {
      const found = await ground.pods(name);
      return found.filter(({ status }) => status?.phase === 'Running').length === pods;
    }, 120_000);
  }
});
