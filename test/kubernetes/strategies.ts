import type { DeployRequest } from '../../contract/deploy.js';
import type { ActivityName } from '../support/faults.js';

/** Every strategy, small and quick, and the activities of its takeover; those that all have in common, with the first. */
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
    activities: ['verify', 'promote', 'shift'],
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
    activities: ['share', 'analyse', 'promote', 'shift'],
  },
];
