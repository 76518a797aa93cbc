import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import pLimit from 'p-limit';
import { SlipwayError } from '../../contract/errors.js';
import type { Cache } from '../cache.js';
import { describeWriteError } from '../cache/disk-full.js';
import type { ArtifactIndex, IndexedFile } from './index.js';

/**
 * Lays cached files of an artifact out below a folder, as copies: what works there may change them, the cache must
 * not. All files, or only `paths`; they have to be in the cache (`ensureFiles`).
 */
export async function writeFiles(
  { cache }: { cache: Cache },
  index: ArtifactIndex,
  folder: string,
  paths?: string[],
): Promise<void> {
  const chosen = paths && new Set(paths);
  const root = resolve(folder);
  const limit = pLimit(8);
  let failed: unknown;
  const write = async ({ path, sha256 }: IndexedFile): Promise<void> => {
    const target = resolve(root, path);
    // An index is an object in storage like any other: it may have been written by someone else.
    if (!target.startsWith(root + sep))
      throw new SlipwayError('InvalidInput', `writing "${path}": it lies outside the folder`);
    try {
      await mkdir(dirname(target), { recursive: true });
      await copyFile(cache.pathOf(sha256), target);
    } catch (error) {
      throw describeWriteError(error, `writing "${path}"`, root);
    }
  };
  // After a failure nothing may be written any more: the caller removes the folder.
  await Promise.all(
    index.files
      .filter(({ path }) => !chosen || chosen.has(path))
      .map((file) =>
        limit(async () => {
          if (failed === undefined) await write(file).catch((error: unknown) => (failed ??= error));
        }),
      ),
  );
  if (failed !== undefined) throw failed;
}
