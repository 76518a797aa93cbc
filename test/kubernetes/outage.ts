import { outage } from '../faults/outage.js';
import type { ActivityName, FaultWorker, Held } from '../support/faults.js';
import { holdPart, releasePart } from '../support/harm.js';

/** Every server that a deployment on Kubernetes needs, next to the apiserver. */
export const servers = ['temporal', 'postgres', 'minio', 'registry'] as const;
/** All that is away in an outage. */
export const away = [...servers, 'apiserver'] as const;

/**
 * Kills all servers and the apiserver at once while a worker holds an activity (left out: several), lets that meet them
 * away, and starts them again. Answers what was let go.
 */
export async function allAway(worker: FaultWorker, activity?: ActivityName): Promise<Held[]> {
  await holdPart('apiserver');
  try {
    return await outage(worker, servers, activity);
  } finally {
    await releasePart('apiserver');
  }
}
