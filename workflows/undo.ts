import { ApplicationFailure } from '@temporalio/workflow';
import type { UndoStep } from '../contract/deployment.js';
import { messageOf } from '../contract/errors.js';
import { describeEffect, type Effect } from '../contract/journal.js';
import type { Grant } from '../contract/pipeline.js';
import * as activities from './activities.js';

/** Hears of every step taken back. */
export type UndoWitness = { undoing(step: UndoStep): void };

/**
 * Takes back everything journaled under a grant, newest first. Closes the door first: from then on an
 * attempt that is still under way can complete no effect. A step that cannot be undone is told and stays
 * in the journal for the census; the others are undone all the same.
 */
export async function takeBack(grant: Grant, witness: UndoWitness): Promise<void> {
  await activities.beginUndo(grant);
  for (const entry of await activities.openEffects(grant)) {
    const step: UndoStep = { what: describeEffect(entry.effect as Effect), state: 'pending' };
    witness.undoing(step);
    try {
      const notes = await activities.undoEffect(grant, entry);
      step.state = 'undone';
      if (notes.length > 0) step.notes = notes;
    } catch (error) {
      step.state = 'failed';
      step.error = messageOf(error instanceof ApplicationFailure ? error : ((error as Error).cause ?? error));
    }
  }
}
