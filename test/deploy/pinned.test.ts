import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Shipyard } from '../support/deployments.js';
import { LocalWorker } from '../support/local-worker.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { withoutWorker } from '../support/without-worker.js';

describe('source and weights overwritten while a deployment runs', () => {
  let yard: Shipyard;
  withoutWorker((opened) => (yard = opened));

  test('it ships the bytes that it pinned at its start', async () => {
    const model = await yard.greeter('pinned', { greeting: 'Pinned' });
    const worker = await LocalWorker.start({ holdBefore: ['downloadSource'] });
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
      await worker.end();
    }
  });
});
