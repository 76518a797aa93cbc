import { after, before } from 'node:test';
import { Shipyard } from './deployments.js';

/**
 * Called in a `describe`: while its tests run there is an installation without a worker, and they start workers of theirs.
 * Handed over is a shipyard; what `prepare` ships, a worker does that is gone afterwards.
 */
export function withoutWorker(prepare: (yard: Shipyard) => unknown): void {
  let yard: Shipyard;
  before(async () => {
    yard = await Shipyard.open();
    await prepare(yard);
    await yard.installation!.stopWorker();
  });
  after(() => yard?.close());
}
