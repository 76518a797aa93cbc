import type { Client } from '@temporalio/client';
import type { Platform } from '../platform/open.js';
import { analyseActivities } from './analyse.js';
import { buildActivities } from './build.js';
import { grantActivities } from './grants.js';
import { modelDownloadActivities } from './model-download.js';
import { preflightActivities } from './preflight.js';
import { pushActivities } from './push.js';
import { rolloutActivities } from './rollout.js';
import { routeActivities } from './route.js';
import { sourceCheckActivities } from './source-check.js';
import { sourceDownloadActivities } from './source-download.js';
import { takeoverActivities } from './takeover.js';
import { tidyActivities } from './tidy.js';
import { undoActivities } from './undo.js';
import { uploadActivities } from './upload.js';
import { verifyActivities } from './verify.js';

/** Every activity, over one platform. The stages in their order, then what surrounds them. */
export const createActivities = (platform: Platform, temporal: Client) => ({
  ...uploadActivities(platform),
  ...preflightActivities(platform),
  ...sourceDownloadActivities(platform),
  ...modelDownloadActivities(platform),
  ...buildActivities(platform),
  ...sourceCheckActivities(platform),
  ...pushActivities(platform),
  ...rolloutActivities(platform),
  ...verifyActivities(platform),
  ...takeoverActivities(platform),
  ...analyseActivities(platform),
  ...routeActivities(platform),
  ...undoActivities(platform),
  ...tidyActivities(platform),
  ...grantActivities(platform, temporal),
});

export type Activities = ReturnType<typeof createActivities>;
