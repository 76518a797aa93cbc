import assert from 'node:assert/strict';
import type { V1ContainerStatus, V1Pod } from '@kubernetes/client-node';
import { SlipwayError } from '../../contract/errors.js';
import { lastSeen, timeOf } from '../../platform/targets/kubernetes/diagnosis/finding.js';
import type { Wanted } from '../../platform/targets/kubernetes/ready.js';
import type { Ground } from './ground.js';

/** When the cluster knew, in milliseconds; its times are rounded down to a second. */
export type Known = (ground: Ground, name: string) => Promise<number>;

/** The first event about the workload's pods whose message matches. */
export const byEvent =
  (message: RegExp): Known =>
  async (ground, name) => {
    const events = (await ground.events(name)).filter((event) => message.test(event.message ?? ''));
    return Math.min(
      ...events.map((event) => timeOf(event.firstTimestamp ?? event.eventTime) || lastSeen(event)),
    );
  };

const statuses = (pods: V1Pod[]): V1ContainerStatus[] =>
  pods.flatMap(({ status }) => status?.containerStatuses ?? []);

/** A container's first end that the cluster still tells of. */
export const byEnd: Known = async (ground, name) => {
  const ends = statuses(await ground.pods(name)).flatMap(({ state, lastState }) => [
    timeOf(state?.terminated?.finishedAt),
    timeOf(lastState?.terminated?.finishedAt),
  ]);
  return Math.min(...ends.filter((end) => !Number.isNaN(end)));
};

export const byScheduler: Known = async (ground, name) => {
  const [pod] = await ground.pods(name);
  return timeOf(pod?.status?.conditions?.find(({ type }) => type === 'PodScheduled')?.lastTransitionTime);
};

export const byDeployment =
  (type: string): Known =>
  async (ground, name) => {
    const { status } = await ground.deployment(name);
    return timeOf(status?.conditions?.find((condition) => condition.type === type)?.lastTransitionTime);
  };

/**
 * Waits for a workload that cannot become ready; answers the failure, told at most `bound` milliseconds after the cluster
 * knew: on a busy machine a minute is soon.
 */
export async function failure(
  ground: Ground,
  name: string,
  known: Known,
  wanted: Partial<Wanted> = {},
  bound = 60_000,
): Promise<SlipwayError> {
  let failed: unknown;
  try {
    await ground.ready(name, wanted);
  } catch (error) {
    failed = error;
  }
  const at = Date.now();
  assert.ok(failed instanceof SlipwayError, `ready, or failed for another reason: ${String(failed)}`);
  assert.equal(failed.type, 'RolloutFailed');
  assert.equal(failed.details['replica'], name);
  const late = at - (await known(ground, name));
  assert.ok(late <= bound, `told ${late} ms after the cluster knew: ${failed.message}`);
  // Of several ends the first may be forgotten by then.
  assert.ok(late > -bound / 5, `told ${-late} ms before the cluster knew: ${failed.message}`);
  return failed;
}
