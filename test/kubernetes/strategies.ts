import type { DeployRequest } from '../../contract/deploy.js';
import type { ActivityName } from '../support/faults.js';

/**
 * A strategy, small and quick; after which activities it is aborted, and after which its worker is killed, in order: each
 * activity is of one of the strategies, and `all` of those that a strategy has are of a long run.
 */
export type Plan = {
  strategy: NonNullable<DeployRequest['strategy']>;
  aborts: readonly ActivityName[];
  kills: readonly ActivityName[];
  all: { aborts: readonly ActivityName[]; kills: readonly ActivityName[] };
};

export const rolling: Plan = {
  strategy: { kind: 'rolling', maxSurge: 1 },
  aborts: ['rollout', 'roll', 'awaitGateways'],
  kills: ['verify', 'roll', 'shift'],
  all: {
    aborts: ['rollout', 'verify', 'roll', 'promote', 'shift', 'awaitGateways'],
    kills: ['rollout', 'verify', 'roll', 'promote', 'shift', 'awaitGateways'],
  },
};

export const blueGreen: Plan = {
  strategy: { kind: 'blueGreen', keep: '3s' },
  aborts: ['verify', 'promote'],
  kills: ['rollout', 'promote', 'awaitGateways'],
  all: {
    aborts: ['rollout', 'verify', 'promote', 'shift', 'awaitGateways'],
    kills: ['verify', 'promote', 'shift'],
  },
};

export const canary: Plan = {
  strategy: {
    kind: 'canary',
    steps: [
      { weight: 20, for: '2s' },
      { weight: 50, for: '2s' },
    ],
    analysis: { minRequests: 10, patience: '20s' },
  },
  aborts: ['share', 'analyse', 'shift'],
  kills: ['share', 'analyse'],
  all: {
    aborts: ['share', 'analyse', 'promote', 'shift'],
    // Both of its steps.
    kills: ['share', 'analyse', 'share', 'analyse', 'promote', 'shift'],
  },
};

export const strategies: readonly Plan[] = [rolling, blueGreen, canary];
