import type { ActivityName, FaultWorker } from '../support/faults.js';
import { killComponent, killPart, repair } from '../support/harm.js';

/** Every server that a deployment on Kubernetes needs, next to the apiserver. */
export const servers = ['temporal', 'postgres', 'minio', 'registry'] as const;

/** Waits until an activity is held, kills all servers and the apiserver at once, and lets it meet them away; then starts them again. */
export async function outageIn(worker: FaultWorker, activity: ActivityName): Promise<void> {
  await worker.held(activity);
  await Promise.all([
    ...servers.map((server) => killComponent(server, 'SIGKILL')),
    killPart('apiserver', 'SIGKILL'),
  ]);
  // It has to try again once they are back.
  await worker.pass(activity);
  await repair({ except: ['worker'] });
}
