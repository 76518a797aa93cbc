import { setTimeout as delay } from 'node:timers/promises';
import type { ActivityName, FaultWorker, Held } from '../support/faults.js';
import { type ComponentName } from '../support/stack.js';
import { killComponent, repair } from '../support/harm.js';

/** Long enough for what is let go to ask for a server that is away. */
const meetsItAway = 1_000;

/**
 * Kills servers at once while a worker holds an activity (left out: several), lets that meet them away, and starts them
 * again. It has to try again once they are back. Answers what was let go.
 */
export async function outage(
  worker: FaultWorker,
  away: readonly ComponentName[],
  activity?: ActivityName,
): Promise<Held[]> {
  await Promise.all(away.map((server) => killComponent(server, 'SIGKILL')));
  const met = await worker.pass(activity);
  await delay(meetsItAway);
  await repair({ only: away });
  return met;
}
