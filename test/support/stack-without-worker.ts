import { after, before } from 'node:test';
import { Shipyard } from './deployments.js';
import { killComponent, repair } from './harm.js';

/**
 * Called in a `describe`: while its tests run, the stack's own worker is away, and they start workers of theirs; its other
 * processes, API and gateway too, can be killed. Handed over is a shipyard; what `prepare` ships, the stack's worker
 * still does.
 */
export function stackWithoutWorker(prepare: (yard: Shipyard) => unknown): void {
  let yard: Shipyard;
  before(async () => {
    yard = await Shipyard.onStack();
    await prepare(yard);
    await killComponent('worker', 'SIGTERM');
  });
  after(async () => {
    await repair();
    await yard?.close();
  });
}
