import assert from 'node:assert/strict';
import type { WorkflowHandle } from '@temporalio/client';
import type { Shipyard } from '../support/deployments.js';
import type { ActivityName, FaultWorker } from '../support/faults.js';
import { greeterSource, greeterWeights } from '../support/models.js';

/** Stages that do something only for a source or weights that nobody has shipped before. */
const making: readonly ActivityName[] = [
  'pin',
  'downloadSource',
  'downloadModel',
  'buildSource',
  'pushImage',
];

/**
 * First deployments side by side, each in a service of its own and held in a stage of its own: one fault meets all of
 * these stages at once.
 */
export class Convoy {
  readonly #deployments: { service: string; greeting: string; handle: WorkflowHandle }[] = [];
  #shared: string | null = null;

  constructor(
    private readonly yard: Shipyard,
    private readonly worker: FaultWorker,
  ) {}

  /** Starts deployments, until one is held in each of the stages: `holdBefore` or `holdAfter` they do what they do. */
  async hold(when: 'holdBefore' | 'holdAfter', stages: readonly ActivityName[]): Promise<void> {
    for (const stage of stages) {
      // Those before stay held.
      await this.worker.change({ [when]: [stage] });
      await this.start(stage);
      await this.worker.held(stage);
    }
  }

  /** Starts another deployment, to meet a fault in a stage. Where that only runs what was made, what another one made will do. */
  async start(stage: ActivityName): Promise<void> {
    const service = this.yard.name('convoy');
    const model = making.includes(stage) ? service : (this.#shared ??= service);
    if (model === service) {
      await this.yard.put(model, 'source', await greeterSource({ 'note.txt': model }));
      await this.yard.put(model, 'weights', await greeterWeights({ greeting: model }));
    }
    const handle = await this.yard.deploy({ model, service });
    this.#deployments.push({ service, greeting: model, handle });
  }

  /** Passes when all of them end well, and nothing is left over. */
  async arrive(): Promise<void> {
    for (const { handle, service, greeting } of this.#deployments) {
      await handle.result();
      assert.equal(await this.yard.predict(service, 'Ada'), `${greeting}, Ada!`);
    }
    await this.yard.assertNothingLeft();
  }
}
