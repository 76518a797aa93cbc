import { after, before } from 'node:test';
import { Shipyard } from './deployments.js';
import { killComponent, repair } from './stack.js';

/**
 * Called in a `describe`: while its tests run, the stack's own worker is away, and they start workers of theirs. Handed
 * over is a shipyard; what `prepare` ships, the stack's worker still does.
 */
export function withoutWorker(prepare: (yard: Shipyard) => unknown): void {
  let yard: Shipyard;
  before(async () => {
    yard = await Shipyard.open();
    await prepare(yard);
    await killComponent('worker', 'SIGTERM');
  });
  after(async () => {
    await repair();
    await yard?.close();
  });
}
