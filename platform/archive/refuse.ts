import { SlipwayError } from '../../contract/errors.js';

/** Why an archive is refused: `archive "iris/model/20260101.zip": entry "../x": escapes the archive`. */
export function refuseEntry(archive: string, entry: string, reason: string, cause?: unknown): SlipwayError {
  return new SlipwayError(
    'InvalidInput',
    `archive "${archive}": entry ${JSON.stringify(entry)}: ${reason}`,
    { archive, entry },
    ...(cause === undefined ? [] : [{ cause }]),
  );
}

/** The same for what is wrong with the archive as a whole. */
export function refuseArchive(archive: string, reason: string, cause?: unknown): SlipwayError {
  return new SlipwayError(
    'InvalidInput',
    `archive "${archive}": ${reason}`,
    { archive },
    ...(cause === undefined ? [] : [{ cause }]),
  );
}
