import type { DeployRequest } from '../../contract/deploy.js';
import type { ActivityName } from '../support/faults.js';

/** Every strategy, small and quick, and the activities in which a takeover by it passes. */
export const strategies: {
  strategy: NonNullable<DeployRequest['strategy']>;
  activities: readonly ActivityName[];
}[] = [
  {
    strategy: { kind: 'rolling', maxSurge: 1 },
    activities: ['rollout', 'verify', 'roll', 'promote', 'shift', 'awaitGateways'],
  },
  {
    strategy: { kind: 'blueGreen', keep: '3s' },
    activities: ['rollout', 'verify', 'promote', 'shift', 'awaitGateways'],
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
    activities: ['rollout', 'verify', 'share', 'analyse', 'promote', 'shift', 'awaitGateways'],
  },
];
