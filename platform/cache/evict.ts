import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/** Files used this recently stay: another process that shares the folder may hold them. */
const graceMs = 10 * 60_000;
/** After this long without a byte written, a partial file has no writer any more, whoever it was. */
const silenceMs = 10 * 60_000;
/** Leftovers nobody came back for. */
const staleMs = 24 * 3_600_000;

type Folder = { files: string; partial: string; maxBytes: number };
type Found = { path: string; name: string; size: number; used: number };

/**
 * Brings the folder below its bound (to 90 % of it, so that this is not needed again at once) by removing files
 * used longest ago. Leased and recently used files stay, even above the bound. Answers the bytes left.
 */
export async function evict(
  { files, partial, maxBytes }: Folder,
  leased: (hex: string) => boolean,
): Promise<number> {
  await sweepAbandoned(partial);
  const found = await listFiles(files);
  const used = sum(found) + sum(await filesIn(partial));
  if (used <= maxBytes) return used;
  const old = found.filter(({ name, used }) => !leased(name) && used < Date.now() - graceMs);
  return used - (await removeOldest(old, used - maxBytes * 0.9));
}

/**
 * Frees at least so many bytes, where there are as many, because the disk is full: only leased files stay. A
 * process that loses a file so brings it again. Answers the bytes freed.
 */
export async function freeSpace(
  files: string,
  bytes: number,
  leased: (hex: string) => boolean,
): Promise<number> {
  const loose = (await listFiles(files)).filter(({ name }) => !leased(name));
  return await removeOldest(loose, bytes);
}

async function removeOldest(found: Found[], bytes: number): Promise<number> {
  let freed = 0;
  for (const { path, size } of found.sort((a, b) => a.used - b.used)) {
    if (freed >= bytes) break;
    await rm(path, { force: true });
    freed += size;
  }
  return freed;
}

/** Partial files of `hex` whose writer is gone. */
export async function findAbandoned(partial: string, hex: string): Promise<string[]> {
  const names = (await readdir(partial)).filter((name) => name.startsWith(`${hex}@`));
  const judged = await Promise.all(names.map(async (name) => (await isAbandoned(partial, name)) && name));
  return judged.filter((name) => name !== false);
}

/** Removes what killed processes left and no attempt has resumed for a day; unnamed new files at once. */
export async function sweepAbandoned(partial: string): Promise<void> {
  for (const { name, path, used } of await filesIn(partial)) {
    const resumable = /^[0-9a-f]{64}(?:@|$)/.test(name);
    const old = Date.now() - used > staleMs;
    if (resumable ? old : await isAbandoned(partial, name)) await rm(path, { force: true });
  }
}

async function isAbandoned(partial: string, name: string): Promise<boolean> {
  const [, host, pid] = name.split('@');
  if (host === hostname() && !isAlive(Number(pid))) return true;
  const found = await statOrNull(join(partial, name));
  return found !== null && Date.now() - found.mtimeMs > silenceMs;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

async function listFiles(files: string): Promise<Found[]> {
  const folders = await readdir(files);
  return (await Promise.all(folders.map((folder) => filesIn(join(files, folder))))).flat();
}

async function filesIn(folder: string): Promise<Found[]> {
  const found: Found[] = [];
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const stats = await statOrNull(path);
    if (stats?.isFile()) found.push({ path, name, size: stats.size, used: stats.mtimeMs });
  }
  return found;
}

async function statOrNull(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

const sum = (found: Found[]): number => found.reduce((total, { size }) => total + size, 0);
