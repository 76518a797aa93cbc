import assert from 'node:assert/strict';
import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import type { Effect } from '../../contract/journal.js';
import type { ActivityName, FaultWorker, Held } from '../support/faults.js';
import type { Harbour } from '../support/harbour.js';
import { until } from '../support/until.js';

/** Where an upgrade is held: in an activity, or, once it has been aborted, where it takes back an effect of this kind. */
export type Station = ActivityName | { undoing: Effect['kind'] };

type Ship = { station: Station; service: string };
type Voyage = Ship & {
  greeting: string;
  /** Objects of the service before. */
  objects: string[];
  handle: WorkflowHandleWithFirstExecutionRunId;
};

/** Upgrades side by side, each of a service of its own and held elsewhere: one fault meets all of them at once. */
export class Convoy {
  #voyages: Voyage[] = [];

  private constructor(
    private readonly harbour: Harbour,
    private readonly worker: FaultWorker,
    private readonly model: string,
    private readonly ships: readonly Ship[],
  ) {}

  /** A service for each station, whose live release says Hello. */
  static async open(harbour: Harbour, worker: FaultWorker, stations: readonly Station[]): Promise<Convoy> {
    const model = await harbour.model();
    const ships = stations.map((station) => ({ station, service: harbour.name() }));
    const convoy = new Convoy(harbour, worker, model, ships);
    await Promise.all(ships.map((ship) => harbour.yard.ship(convoy.#request(ship))));
    return convoy;
  }

  /** Starts an upgrade of each service; returns when each is held where it is to be. */
  async hold(): Promise<void> {
    const { harbour, worker, ships } = this;
    const prepared = [];
    for (const [index, ship] of ships.entries()) {
      const greeting = `Bye ${index}`;
      const weights = await harbour.retrain(this.model, { greeting });
      const objects = await harbour.objects(ship.service);
      prepared.push({ ...ship, greeting, weights, objects, deployment: `test/${harbour.yard.name('d')}` });
    }
    await worker.change({
      holdSteps: prepared.flatMap(({ station, deployment }) =>
        typeof station === 'string'
          ? [{ deployment, activity: station }]
          : [
              { deployment, activity: 'shift' },
              { deployment, activity: 'undoEffect', ...station },
            ],
      ),
    });
    this.#voyages = await Promise.all(
      prepared.map(async ({ weights, deployment, ...ship }) => {
        const verify = { samples: [{ input: 'Ada', expect: `${ship.greeting}, Ada!` }] };
        const request = { ...this.#request(ship), weights, verify };
        const handle = await harbour.yard.deploy(request, deployment);
        const run = handle.firstExecutionRunId;
        if (typeof ship.station === 'string') await worker.held(ship.station, run);
        else {
          await worker.held('shift', run);
          await handle.executeUpdate('abort', { args: [{ by: 'test', reason: 'to be undone' }] });
          await worker.held('undoEffect', run);
        }
        return { ...ship, handle };
      }),
    );
  }

  /** Stations at which what was let go had been held. */
  stationsOf(passed: readonly Held[]): string[] {
    return this.#voyages
      .filter(({ station, handle }) =>
        passed.some(
          ({ activity, run }) => run === handle.firstExecutionRunId && activity === activityAt(station),
        ),
      )
      .map(({ station }) => nameOf(station));
  }

  /** Passes when all of them end as they should, and nothing is left over. */
  async arrive(): Promise<void> {
    const { yard } = this.harbour;
    for (const { station, service, handle, greeting, objects } of this.#voyages) {
      const aborted = typeof station !== 'string';
      if (aborted) {
        assert.equal((await yard.failure(handle)).type, 'Aborted');
        const { undo } = await yard.status(handle);
        assert.ok(
          undo.every(({ state }) => state === 'undone'),
          JSON.stringify(undo),
        );
      } else await handle.result();
      // Whose addresses the node leads to it learns from an apiserver that has just come back.
      const answer = await until(() => yard.predict(service, 'Ada').catch(() => null));
      assert.equal(answer, `${aborted ? 'Hello' : greeting}, Ada!`, nameOf(station));
      await yard.untilFree(service);
      if (aborted) assert.deepEqual(await this.harbour.objects(service), objects, nameOf(station));
    }
    // The cluster's garbage collector, too, takes up to a minute to find its apiserver again.
    await yard.assertNothingLeft(120_000);
  }

  #request({ station, service }: Ship) {
    // Where replicas are replaced one by one, there is more than one.
    return this.harbour.request(this.model, { service, replicas: station === 'roll' ? 2 : 1 });
  }
}

const activityAt = (station: Station): ActivityName => (typeof station === 'string' ? station : 'undoEffect');

/** `roll`, `undo of traffic`. */
export const nameOf = (station: Station): string =>
  typeof station === 'string' ? station : `undo of ${station.undoing}`;
