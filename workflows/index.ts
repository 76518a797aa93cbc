import { setWorkflowOptions, workflowInfo } from '@temporalio/workflow';
import { deployModel } from './deploy-model.js';
import { modelService } from './model-service.js';

// A deployment ends on the code that it began with. Said only of one that began on a worker with a version: from
// any other, whose build has an id too but no deployment's name, Temporal refuses every task that says so.
setWorkflowOptions(
  () => (workflowInfo().currentDeploymentVersion?.deploymentName ? { versioningBehavior: 'PINNED' } : {}),
  deployModel,
);

export { deployModel, modelService };
