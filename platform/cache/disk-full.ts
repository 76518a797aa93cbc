/** The disk below a folder is full. Not for ever: whoever frees space lets the same attempt succeed. */
export class DiskFullError extends Error {
  override readonly name = 'DiskFullError';
  readonly code = 'ENOSPC';

  constructor(
    readonly folder: string,
    doing: string,
    options: ErrorOptions,
  ) {
    super(`${doing}: the disk of "${folder}" is full: free some space there`, options);
  }
}

/** An error of writing below `folder`, saying what was being done; a {@link DiskFullError} when that is the cause. */
export function describeWriteError(cause: unknown, doing: string, folder: string): Error {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new DiskFullError(folder, doing, { cause });
  return new Error(doing, { cause });
}
