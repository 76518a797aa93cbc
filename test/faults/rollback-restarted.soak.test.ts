import { rollbackGoesOn } from './rollback.js';

// From the first to the last, those included that come after its success.
rollbackGoesOn([
  ...(['recallRelease', 'admit', 'rollout', 'verify'] as const),
  ...(['shift', 'awaitGateways', 'closeGrant', 'tidy'] as const),
]);
