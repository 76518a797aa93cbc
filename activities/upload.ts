import type { DeployInput } from '../contract/deploy.js';
import type { Pinned } from '../contract/pipeline.js';
import type { Platform } from '../platform/open.js';
import { pinDeployment } from '../platform/pin.js';
import { attend } from './attend.js';

/**
 * Upload: what was uploaded is found, validated and indexed if that has not happened yet, and pinned:
 * from here on the deployment reads exactly these versions, whatever is uploaded under the same names.
 */
export const uploadActivities = (platform: Platform) => ({
  pin: (input: DeployInput & { service: string }): Promise<Pinned & { detail: string }> =>
    attend(async (watch) => {
      const pinned = await pinDeployment(platform, input, watch);
      return { ...pinned, detail: `weights ${pinned.weights.name}, ${pinned.recipeReason}` };
    }),
});
