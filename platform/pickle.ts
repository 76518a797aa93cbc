import type { ServeSpec } from '../contract/deploy.js';
import { SlipwayError } from '../contract/errors.js';
import type { Grant, Release } from '../contract/pipeline.js';
import type { Platform } from './open.js';

/** Throws `InvalidInput` when a release would load a pickle, and this installation does not consent to that. */
export function admitPickle({ stack }: Pick<Platform, 'stack'>, { pickle }: ServeSpec): void {
  if (!pickle || stack.allowPickle) return;
  throw new SlipwayError(
    'InvalidInput',
    `weights: "${pickle.path}" is a pickle, which runs the code it holds: ` +
      'save the model with skops, or consent with "allowPickle": true in the stack file',
    { file: pickle.path, digest: pickle.sha256 },
  );
}

/**
 * Writes down, before it happens, that a release loads a pickle by consent: which file, and its digest. Once for a
 * release, under its grant. Throws as {@link admitPickle} does: consent may have been withdrawn since then.
 */
export async function consentToPickle(
  { catalog, stack }: Pick<Platform, 'catalog' | 'stack'>,
  grant: Grant,
  { id, spec }: Pick<Release, 'id' | 'spec'>,
): Promise<void> {
  admitPickle({ stack }, spec);
  if (!spec.pickle) return;
  const { path, sha256 } = spec.pickle;
  await catalog.auditOnce(grant, {
    action: 'load-pickle',
    details: { release: id, file: path, digest: sha256, consent: 'allowPickle' },
  });
}
