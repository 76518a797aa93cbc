import { after, before } from 'node:test';
import type { ImageRef } from '../../contract/names.js';
import { imageFacts } from '../../platform/images/facts.js';
import { createRegistry } from '../../platform/images/registry.js';
import type { ClusterOptions } from '../../platform/targets/kubernetes/cluster.js';
import { testCluster } from '../support/cluster.js';
import { probeImage } from '../targets/probe.js';
import { Berth, type Site } from './berth.js';

/** A berth on the real node, whose pods pull from the stack's registry, run and answer. */
export const openBerth = async (changes: Partial<ClusterOptions> = {}): Promise<Berth> =>
  await Berth.open(await node(), changes);

/** Called in a `describe`: its tests have a berth, and the image of a probe to start there. Handed over before the first. */
export function withBerth(hand: (berth: Berth, image: ImageRef) => void): void {
  let berth: Berth | undefined;
  before(async () => {
    const image = await probeImage((await testCluster()).stack);
    berth = await openBerth();
    hand(berth, image);
  });
  after(async () => await berth?.close());
}

async function node(): Promise<Site> {
  const plane = await testCluster();
  const { registry, base } = plane.stack;
  return {
    plane,
    options: {
      credentials: registry,
      base,
      inspect: (image, signal) => imageFacts(createRegistry(registry), image, signal),
    },
    answers: true,
  };
}
