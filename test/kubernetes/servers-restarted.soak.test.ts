import { goesOnWithout } from './restarted.js';

goesOnWithout({
  stages: [
    ...(['admit', 'rollout', 'verify', 'roll', 'promote'] as const),
    ...(['shift', 'awaitGateways', 'closeGrant', 'tidy'] as const),
  ],
  undo: [
    ...(['beginUndo', 'openEffects'] as const),
    ...(['undoEffect', 'undoEffect', 'undoEffect', 'undoEffect'] as const),
    'closeGrant',
  ],
});
