import { rollbackGoesOn } from './rollback.js';

// What other deployments do too meets the same in servers-restarted.
rollbackGoesOn(['recallRelease', 'admit', 'closeGrant', 'tidy']);
