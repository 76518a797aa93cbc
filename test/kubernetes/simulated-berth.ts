import { after, before } from 'node:test';
import { digestOf, type ImageRef } from '../../contract/names.js';
import type { ClusterOptions } from '../../platform/targets/kubernetes/cluster.js';
import { testApiserver } from '../support/apiserver.js';
import { Berth, type Site } from './berth.js';

/** Simulated nodes pull nothing: no registry has it. */
export const image: ImageRef = { repository: 'probe/serving', digest: digestOf('5'.repeat(64)) };

/** A berth in the control plane whose node is simulated: for tests that look at objects. */
export const openBerth = async (
  changes: Partial<ClusterOptions> = {},
  options: Partial<Site['options']> = {},
): Promise<Berth> => await Berth.open(await simulated(options), changes);

/** Called in a `describe`: its tests have a berth, handed over before the first. */
export function withBerth(hand: (berth: Berth) => void): void {
  let berth: Berth | undefined;
  before(async () => hand((berth = await openBerth())));
  after(async () => await berth?.close());
}

/** There is no registry unless `options` know one. */
const simulated = async (options: Partial<Site['options']>): Promise<Site> => ({
  plane: await testApiserver(),
  options: { credentials: { username: 'puller', password: 'may read' }, ...options },
  answers: false,
});
