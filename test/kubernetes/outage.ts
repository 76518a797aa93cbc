import { outage } from '../faults/outage.js';
import type { ActivityName, FaultWorker } from '../support/faults.js';
import { holdPart, releasePart } from '../support/harm.js';

/** Every server that a deployment on Kubernetes needs, next to the apiserver. */
export const servers = ['temporal', 'postgres', 'minio', 'registry'] as const;

/** Waits until an activity is held, kills all servers and the apiserver at once, and lets it meet them away; then starts them again. */
export async function outageIn(worker: FaultWorker, activity: ActivityName): Promise<void> {
  await worker.held(activity);
  await holdPart('apiserver');
  try {
    await outage(worker, servers, activity);
  } finally {
    await releasePart('apiserver');
  }
}
