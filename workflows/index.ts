export { deployModel } from './deploy-model.js';
export { modelService } from './model-service.js';
