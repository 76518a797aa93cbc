import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Shipyard } from '../support/deployments.js';
import { killComponent, repair } from '../support/harm.js';
import { Canaries, canary } from './canaries.js';

describe('a canary on Docker whose worker or catalog is away, under 50 requests a second', () => {
  let yard: Shipyard;
  let canaries: Canaries;
  before(async () => {
    yard = await Shipyard.onStack();
    canaries = await Canaries.open(yard);
  });
  after(() => yard.close());

  test('a canary whose worker is killed goes on, and its step ends when it would have', async () => {
    await canaries.upload('Second');
    const traffic = await canaries.under(async () => {
      const handle = await canaries.deploy(canary([{ weight: 50, for: '90s' }]));
      await canaries.inStep(handle, 1);
      const began = Date.now();
      await delay(70_000);
      await killComponent('worker', 'SIGKILL');
      await repair({ only: ['worker'] });
      await canaries.statusWhen(handle, (it) => it.canary === undefined || it.step === 'taking over');
      // One that began anew with the next worker would take 160 s.
      const took = Date.now() - began;
      assert.ok(took > 80_000 && took < 150_000, `its step of 90 s took ${took} ms`);
      await handle.result();
    });
    assert.deepEqual(traffic.failures, []);
    await canaries.servesAsBefore('Second, Ada!');
  });

  test('a canary whose catalog is away for a while is judged once it is back', async () => {
    await canaries.upload('Interlude');
    const traffic = await canaries.under(async () => {
      const handle = await canaries.deploy(canary([{ weight: 50, for: '6s' }], { patience: '1m' }));
      await canaries.inStep(handle, 1);
      await killComponent('postgres', 'SIGKILL');
      await delay(8_000);
      assert.equal((await yard.status(handle)).canary?.step, 1);
      await repair({ only: ['postgres'] });
      await handle.result();
    });
    assert.deepEqual(traffic.failures, []);
    await canaries.servesAsBefore('Interlude, Ada!');
  });
});
