import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { messageOf } from '../../contract/errors.js';
import { Route } from '../../contract/pipeline.js';

const Remembered = z.object({ version: z.number().int(), routes: z.array(Route) });
export type Remembered = z.infer<typeof Remembered>;

/** Routes written down by an earlier gateway, or null. Throws, naming the file, when it cannot be understood. */
export async function recallRoutes(file: string): Promise<Remembered | null> {
  try {
    return Remembered.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Error(`reading remembered routes from "${file}": ${messageOf(cause)}`, { cause });
  }
}

/** Writes routes down, whole or not at all. */
export async function rememberRoutes(file: string, remembered: Remembered): Promise<void> {
  const partial = `${file}.${process.pid}.partial`;
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(partial, JSON.stringify(remembered), { mode: 0o600, flush: true });
    await rename(partial, file);
  } catch (cause) {
    throw new Error(`remembering routes in "${file}": ${messageOf(cause)}`, { cause });
  }
}
