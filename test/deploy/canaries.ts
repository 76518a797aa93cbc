import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import type { DeployRequest } from '../../contract/deploy.js';
import type { DeploymentStatus } from '../../contract/deployment.js';
import type { Shipyard } from '../support/deployments.js';
import { poisonableSource, poisonedWeights, type Poison } from '../support/poison.js';
import { Traffic } from '../support/traffic.js';

type Canary = Extract<DeployRequest['strategy'], { kind: 'canary' }>;

export const verify = { samples: [{ input: 'Bob' }] };

export const canary = (steps: Canary['steps'], analysis: Canary['analysis'] = {}): Canary => ({
  kind: 'canary',
  steps,
  analysis: { patience: '3s', ...analysis },
});

/** A service on Docker whose releases follow each other under 50 requests a second. */
export class Canaries {
  private date = 20260100;

  private constructor(
    readonly yard: Shipyard,
    readonly model: string,
  ) {}

  /** With a live release that says First. */
  static async open(yard: Shipyard): Promise<Canaries> {
    const canaries = new Canaries(yard, yard.name('canary'));
    await yard.put(canaries.model, 'source', await poisonableSource());
    await canaries.upload('First');
    await yard.ship({ model: canaries.model, verify });
    return canaries;
  }

  async upload(greeting: string, poison: Poison = {}): Promise<void> {
    this.date += 1;
    await this.yard.put(this.model, 'weights', await poisonedWeights(greeting, poison), String(this.date));
  }

  deploy(strategy: DeployRequest['strategy']): Promise<WorkflowHandle> {
    return this.yard.deploy({ model: this.model, verify, strategy });
  }

  async statusWhen(
    handle: WorkflowHandle,
    is: (status: DeploymentStatus) => boolean,
    budget = 120_000,
  ): Promise<DeploymentStatus> {
    for (const end = Date.now() + budget; ; await delay(100)) {
      // Of a worker that was killed Temporal knows for a while no other that it could ask.
      const status = await this.yard.status(handle).catch(() => null);
      if (status && is(status)) return status;
      const { step, failure } = status ?? {};
      assert.ok(Date.now() < end && !failure, `${step} ${JSON.stringify(failure)}`);
    }
  }

  inStep(handle: WorkflowHandle, step: number, state = 'running'): Promise<DeploymentStatus> {
    return this.statusWhen(
      handle,
      (it) => it.canary?.step === step && it.state === state && !it.step.endsWith('on its way'),
    );
  }

  /** Traffic all the while; answers it when `act` is done. */
  async under(act: (traffic: Traffic) => Promise<unknown>): Promise<Traffic> {
    const ask = async (): Promise<string> => String(await this.yard.predict(this.model, 'Ada'));
    return await Traffic.during(ask, 50, async (traffic) => {
      await act(traffic);
      await delay(500);
    });
  }

  /** The release before serves, alone, and nothing is left of the one that did not come through. */
  async servesAsBefore(answer: string): Promise<void> {
    for (let i = 0; i < 20; i += 1) assert.equal(await this.yard.predict(this.model, 'Ada'), answer);
    await this.yard.assertNothingLeft();
    // A worker that was killed may have been told last that the deployment has ended.
    await this.yard.untilFree(this.model);
  }
}
