import { CommanderError } from 'commander';
import { ApiFailure } from '../api/failure.js';
import { messageOf, SlipwayError } from '../contract/errors.js';
import { note, paint, plain, printJson } from './output.js';
import { UsageError } from './usage.js';

/** The command did what it could and says how that went; all is told already. */
export class Told extends Error {
  override readonly name = 'Told';

  constructor(readonly exitStatus: number) {
    super(`exit status ${exitStatus}`);
  }
}

/** Exit status after Ctrl-C: 128 and the number of SIGINT, as shells have it. */
export const interruptedStatus = 130;

/**
 * Tells an error, on stderr and where `--json` was asked for as a document too, and answers the exit status: 2 when
 * the command was called wrongly, 1 when it failed.
 */
export function tellFailure(error: unknown, asJson: boolean): number {
  // Commander has told it already; help and version are thrown as well.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof Told) return error.exitStatus;
  const known = error instanceof ApiFailure || error instanceof SlipwayError;
  const type = known ? error.type : error instanceof UsageError ? 'InvalidInput' : 'Internal';
  const message = plain(messageOf(error));
  if (asJson) printJson({ error: { type, message, ...(known ? { details: error.details } : {}) } });
  note(`${paint('red', 'error')}: ${message}`);
  for (const line of advice(error)) note(line);
  return error instanceof UsageError ? 2 : 1;
}

function advice(error: unknown): string[] {
  if (!(error instanceof ApiFailure)) return [];
  if (error.status === 0) return ['is the stack up? "slipway up" starts and repairs it'];
  if (error.status === 401)
    return ['SLIPWAY_TOKEN, or "token" in the stack file, is not the one the API runs with'];
  return [];
}
