import type { ActivityName } from './faults.js';
import type { ComponentName } from './stack.js';

/** One activity of every stage of a first deployment, in order; where the worker is held, killed, cut off. */
export const stageActivities = [
  'pin',
  'downloadSource',
  'downloadModel',
  'buildSource',
  'pushImage',
  'rollout',
  'verify',
  'publishTag',
  'shift',
  'awaitGateways',
] as const satisfies readonly ActivityName[];

/** Activities after which a deployment is no longer undone: it has succeeded. */
export const afterCommit = ['closeGrant', 'tidy'] as const satisfies readonly ActivityName[];

/** Everything that a deployment on Docker rests on, but for its worker. */
export const servers = [
  'temporal',
  'postgres',
  'minio',
  'registry',
  'docker',
  'server',
] as const satisfies ComponentName[];
