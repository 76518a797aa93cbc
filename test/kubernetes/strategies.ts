import type { DeployRequest } from '../../contract/deploy.js';
import type { ActivityName } from '../support/faults.js';

/** Every strategy, small and quick; after which activities it is aborted, and after which its worker is killed. */
export const strategies: {
  strategy: NonNullable<DeployRequest['strategy']>;
  aborts: readonly ActivityName[];
  kills: readonly ActivityName[];
}[] = [
  {
    strategy: { kind: 'rolling', maxSurge: 1 },
    aborts: ['rollout', 'verify', 'roll'],
    kills: ['rollout', 'verify', 'roll', 'promote', 'shift', 'awaitGateways'],
  },
  {
    strategy: { kind: 'blueGreen', keep: '3s' },
    aborts: ['verify', 'promote', 'shift'],
    kills: ['verify', 'promote', 'shift'],
  },
  {
    strategy: {
      kind: 'canary',
      steps: [
        { weight: 20, for: '2s' },
        { weight: 50, for: '2s' },
      ],
      analysis: { minRequests: 10, patience: '20s' },
    },
    aborts: ['share', 'analyse', 'promote', 'shift'],
    kills: [],
  },
];
