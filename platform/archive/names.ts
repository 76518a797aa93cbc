/** Longest name that Linux file systems take for one folder or file, and for a path. */
const maxSegmentBytes = 255;
const maxPathBytes = 4000;

/**
 * Why an entry's name can't be used, or null. Names are judged as they stand in the archive, before anything is
 * normalised: a name that two programs could read differently is refused, not mended.
 */
export function nameProblem(name: string): string | null {
  if (name === '') return 'has no name';
  if (/\p{Cc}/u.test(name)) return 'has a control character in its name';
  if (name.includes('\ufffd')) return 'has a name that is not UTF-8';
  if (name.includes('\\')) return 'has a backslash in its name';
  if (name.startsWith('/')) return 'has an absolute path';
  if (/^[A-Za-z]:/.test(name)) return 'has a drive letter';
  const segments = name.split('/');
  if (segments.includes('..')) return 'escapes the archive with ".."';
  if (segments.some((segment) => Buffer.byteLength(segment) > maxSegmentBytes))
    return `has a name longer than ${maxSegmentBytes} bytes`;
  if (Buffer.byteLength(name) > maxPathBytes) return `has a path longer than ${maxPathBytes} bytes`;
  return null;
}

/** `./a//b` → `a/b`; what some zip programs write for the same file. */
export const normalise = (name: string): string =>
  name
    .split('/')
    .filter((segment) => segment !== '' && segment !== '.')
    .join('/');

/** What macOS puts into the archives it makes; no part of a model. */
export const isLitter = (path: string): boolean =>
  path.split('/')[0] === '__MACOSX' || path.split('/').at(-1) === '.DS_Store';

/** Every folder a path lies in: `a/b/c` → `a`, `a/b`. */
export function foldersOf(path: string): string[] {
  const segments = path.split('/');
  return segments.slice(1).map((_, index) => segments.slice(0, index + 1).join('/'));
}
