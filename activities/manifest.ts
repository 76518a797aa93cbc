import type { Grant } from '../contract/pipeline.js';
import type { PutManifest } from '../platform/images/append.js';
import type { Platform } from '../platform/open.js';
import { withdrawUnlessNamed } from '../platform/retention.js';
import { perform } from './journal.js';

/** Puts manifests under a grant, as {@link perform} does: one that came too late goes, unless somebody rests on it. */
export const journaledManifest =
  (platform: Platform, grant: Grant): PutManifest =>
  (image, put) =>
    perform(
      platform.catalog,
      grant,
      { kind: 'manifest', key: `manifest:${image.digest}`, ...image },
      put,
      () => withdrawUnlessNamed(platform, grant, image),
    );
