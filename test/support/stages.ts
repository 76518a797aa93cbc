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

export type Stage = (typeof stageActivities)[number];
export type Server = (typeof servers)[number];

/** Which servers a stage calls for what it does. Temporal hands each of them out and takes its reply. */
export const callsOf: Record<Stage, readonly Server[]> = {
  pin: ['temporal', 'minio', 'postgres'],
  downloadSource: ['temporal', 'minio'],
  downloadModel: ['temporal', 'minio', 'registry'],
  buildSource: ['temporal', 'minio', 'registry', 'docker', 'postgres'],
  pushImage: ['temporal', 'minio', 'registry', 'postgres'],
  rollout: ['temporal', 'registry', 'docker', 'postgres'],
  verify: ['temporal', 'docker'],
  publishTag: ['temporal', 'registry', 'postgres'],
  shift: ['temporal', 'postgres'],
  // Gateways acknowledge through the catalog.
  awaitGateways: ['temporal', 'postgres', 'server'],
};
