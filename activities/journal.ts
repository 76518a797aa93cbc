import { SlipwayError } from '../contract/errors.js';
import { describeEffect, type Effect, type JournalEntry } from '../contract/journal.js';
import type { Grant } from '../contract/pipeline.js';
import type { Catalog } from '../platform/catalog/index.js';

/**
 * Changes the world under a grant: writes the effect down, makes it, marks it made. When the grant was lost
 * meanwhile (this attempt was presumed dead, its deployment undone) the effect is taken back on the spot.
 * Throws `Conflict` when the grant is no longer good.
 */
export async function perform<T>(
  catalog: Catalog,
  grant: Grant,
  effect: Effect,
  act: () => Promise<T>,
  undo: () => Promise<unknown>,
): Promise<T> {
  const entry = await catalog.recordEffect(grant, effect);
  const result = await act();
  await completeOrTakeBack(catalog, grant, entry, undo);
  return result;
}

/** Marks an effect made; takes it back and throws `Conflict` when the grant is no longer good. */
export async function completeOrTakeBack(
  catalog: Catalog,
  grant: Grant,
  entry: JournalEntry,
  undo: () => Promise<unknown>,
): Promise<void> {
  if (await catalog.completeEffect(entry)) return;
  await undo();
  throw new SlipwayError(
    'Conflict',
    `fenced: ${describeEffect(entry.effect)} came too late, the grant ${grant.token} of "${grant.service}" had ended; it was taken back`,
  );
}
