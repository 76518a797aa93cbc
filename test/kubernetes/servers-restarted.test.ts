import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { meeting, unmet } from '../faults/plan.js';
import { FaultWorker } from '../support/faults.js';
import { Harbour } from '../support/harbour.js';
import { Convoy, nameOf, type Station } from './convoy.js';
import { allAway, away } from './outage.js';

/** Where the cluster is changed or asked. What only the catalog is told of meets the same on Docker. */
const stations: readonly Station[] = [
  ...(['admit', 'rollout', 'verify', 'roll', 'promote', 'tidy'] as const),
  // All of the servers have their part in one of them.
  ...(['traffic', 'route', 'tag', 'replica'] as const).map((undoing) => ({ undoing })),
];

describe(`${away.join(', ')} killed at once and started again on Kubernetes`, () => {
  let harbour: Harbour;
  let worker: FaultWorker;
  before(async () => {
    harbour = await Harbour.open({ worker: false });
    worker = await FaultWorker.start();
  });
  after(async () => {
    // What it has not tidied up goes with the namespace.
    await worker?.end();
    await harbour?.close();
  });

  test(`in ${stations.map(nameOf).join(', ')}: deployments go on, or are taken back, by themselves`, async () => {
    const convoy = await Convoy.open(harbour, worker, stations);
    await convoy.hold();
    const met = convoy.stationsOf(await allAway(worker)).map((station) => meeting(away, station));
    const wanted = stations.map((station) => meeting(away, nameOf(station)));
    assert.deepEqual(unmet(wanted, met), []);
    await worker.release();
    await convoy.arrive();
  });
});
