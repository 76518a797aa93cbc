import { goesOnWithout } from './restarted.js';

// Where the cluster is changed or asked. What only the catalog is told of meets the same on Docker.
goesOnWithout({
  stages: ['admit', 'rollout', 'verify', 'roll', 'promote', 'tidy'],
  // Traffic, route, tag and workload: all of the servers have their part in one of them.
  undo: ['undoEffect', 'undoEffect', 'undoEffect', 'undoEffect'],
});
