import type { ArtifactIndex, IndexedFile } from '../archive/index.js';

/** Files that archivers leave behind; never part of a source. */
const debris = /(?:^|\/)(?:__MACOSX\/|\.DS_Store$|__pycache__\/|Thumbs\.db$)/;
/** A package of this name is the model itself, not a folder around it. */
const modelPackage = 'k8s_api_model/';

/**
 * Folder that a source bundle's files all lie in, with its slash, or `''`. Archivers of folders and git hosts
 * put one around everything (`iris/requirements.txt`); it means nothing and is taken off.
 */
export function bundleRoot(paths: readonly string[]): string {
  const own = paths.filter((path) => !debris.test(path));
  const slash = own[0]?.indexOf('/') ?? -1;
  if (slash < 0) return '';
  const root = own[0]?.slice(0, slash + 1) ?? '';
  return root !== modelPackage && own.every((path) => path.startsWith(root)) ? root : '';
}

/** A source bundle's files by the path they get under `/app/src`, sorted. */
export function sourcePaths(index: ArtifactIndex): Map<string, IndexedFile> {
  const root = bundleRoot(index.files.map(({ path }) => path));
  return new Map(
    index.files
      .filter(({ path }) => !debris.test(path))
      .map((file): [string, IndexedFile] => [file.path.slice(root.length), file])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}
