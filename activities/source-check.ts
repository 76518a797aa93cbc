import { SlipwayError } from '../contract/errors.js';
import type { ImageRef } from '../contract/names.js';
import { releaseId } from '../contract/names.js';
import type { TargetKind } from '../contract/deploy.js';
import type { Grant, Pinned } from '../contract/pipeline.js';
import { composeWithWeights } from '../platform/images/append.js';
import { targetOf, type Platform } from '../platform/open.js';
import { withdrawUnlessNamed } from '../platform/retention.js';
import { attend } from './attend.js';
import { journaledManifest } from './manifest.js';
import { replicaSet, startAll } from './rollout.js';

/**
 * Source check: a source that changed is loaded with the weights that are live, in a container that never gets
 * traffic, so that a failure says which of the two is at fault. No bytes move: the layers are there already.
 */
export const sourceCheckActivities = (platform: Platform) => ({
  checkSource: (
    grant: Grant,
    pinned: Pinned,
    sourceImage: ImageRef,
    kind: TargetKind,
  ): Promise<{ detail: string }> =>
    attend(async (watch) => {
      const { registry } = platform;
      const target = targetOf(platform, kind);
      const image = await composeWithWeights(registry, sourceImage, pinned.live!.image, {
        putManifest: journaledManifest(platform, grant),
      });
      const id = releaseId(grant.service, grant.token);
      const candidate = { id, model: pinned.source.model, image, target: kind };
      const set = replicaSet(grant, { ...candidate, spec: { ...pinned.spec, replicas: 1 } }, 'check');
      try {
        await startAll(platform, target, set, watch);
      } catch (error) {
        if (!(error instanceof SlipwayError) || error.type !== 'RolloutFailed') throw error;
        throw new SlipwayError(
          'VerificationFailed',
          `the new source does not load with the live weights of "${pinned.live!.id}": ${error.message}`,
          error.details,
          { cause: error },
        );
      }
      for (const replica of target.place(set)) await target.remove(replica, 0);
      // No release will name it. Its bytes are those of others.
      await withdrawUnlessNamed(platform, grant, image);
      return { detail: `loads with the weights of ${pinned.live!.id}` };
    }),
});
