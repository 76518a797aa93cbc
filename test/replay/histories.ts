import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** Where the histories are kept: in the sources, not in what is compiled from them. */
export const historiesFolder = fileURLToPath(new URL('../../../test/replay/histories/', import.meta.url));

/** The recorded histories, as the server tells them, by name. */
export async function readHistories(): Promise<{ name: string; history: unknown }[]> {
  const files = (await readdir(historiesFolder)).filter((file) => file.endsWith('.json')).sort();
  return await Promise.all(
    files.map(async (file) => ({
      name: file.slice(0, -'.json'.length),
      history: JSON.parse(await readFile(`${historiesFolder}${file}`, 'utf8')) as unknown,
    })),
  );
}
