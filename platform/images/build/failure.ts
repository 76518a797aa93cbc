import { SlipwayError } from '../../../contract/errors.js';
import { EngineStreamError } from './engine-stream.js';
import type { BuildProgress } from './progress.js';

const diskFull = /no space left on device|disk quota exceeded/i;
/** A command of the Dockerfile failed; trying again does the same. */
const commandFailed = /executor failed running|did not complete successfully|exit code: \d+/i;
const refused = /unauthori[sz]ed|authentication required|no basic auth|access denied|\bdenied\b/i;

/**
 * What a failed build means. `BuildFailed`, with pip's own words, where a command failed or the engine's disk is
 * full; what the engine itself stumbled over may pass and is thrown as it is.
 */
export function buildFailure(
  error: unknown,
  progress: BuildProgress,
  redact: (text: string) => string,
): Error {
  const reason = redact(error instanceof Error ? error.message : String(error));
  const { step, lines } = progress.failed ?? { step: undefined, lines: [] };
  const details = { ...(step === undefined ? {} : { step: redact(step) }), lines: lines.slice(-30) };
  if (diskFull.test(reason) || lines.some((line) => diskFull.test(line)))
    return new SlipwayError(
      'BuildFailed',
      'building the source image: the disk of the build engine is full',
      details,
      { cause: error },
    );
  if (error instanceof EngineStreamError && commandFailed.test(reason)) {
    const words = lastWords(lines) || reason;
    const killed = /exit code: 137\b/.test(reason) ? ' (killed: probably out of memory)' : '';
    return new SlipwayError('BuildFailed', `building the source image: ${words}${killed}`, details, {
      cause: error,
    });
  }
  return new Error(`building the source image: ${reason}`, { cause: error });
}

/** What a failed push means: `PushFailed` where the registry refused or a disk is full; anything else may pass. */
export function pushFailure(error: unknown, name: string): Error {
  const reason = error instanceof Error ? error.message : String(error);
  const message = `pushing the source image "${name}": ${reason}`;
  return refused.test(reason) || diskFull.test(reason)
    ? new SlipwayError('PushFailed', message, {}, { cause: error })
    : new Error(message, { cause: error });
}

/** pip's last error lines, else the last lines there are. */
function lastWords(lines: readonly string[]): string {
  const errors = lines.filter((line) => /^\s*(?:ERROR|[A-Za-z]*Error)\b:?/.test(line));
  return (errors.length > 0 ? errors : lines)
    .slice(-3)
    .map((line) => line.trim())
    .join('; ');
}
