import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Shipyard } from '../support/deployments.js';
import { FaultWorker } from '../support/faults.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { killComponent, repair } from '../support/stack.js';

describe('source and weights overwritten while a deployment runs', () => {
  let yard: Shipyard;
  before(async () => {
    yard = await Shipyard.open();
    await killComponent('worker', 'SIGTERM');
  });
  after(async () => {
    await repair();
    await yard.close();
  });

  test('it ships the bytes that it pinned at its start', async () => {
    const model = yard.name('pinned');
    await yard.put(model, 'source', await greeterSource());
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Pinned' }));
    const worker = await FaultWorker.start({ holdBefore: ['downloadSource'] });
    try {
      const handle = await yard.deploy({ model });
      await worker.held('downloadSource');
      await yard.put(
        model,
        'source',
        await greeterSource({ 'k8s_api_model.py': 'raise SystemExit("overwritten")' }),
      );
      await yard.put(model, 'weights', await greeterWeights({ greeting: 'Overwritten' }));
      await worker.release();
      await handle.result();
      assert.deepEqual(await yard.predict(model, 'Ada'), 'Pinned, Ada!');
    } finally {
      await worker.end('SIGTERM');
    }
  });
});
