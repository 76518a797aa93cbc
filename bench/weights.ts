import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import yazl from 'yazl';

const files = 10;
const piece = 4 * 2 ** 20;

/** Ten files of incompressible bytes, `size` bytes in all. */
export async function makeWeights(folder: string, size: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let at = 0; at < files; at++)
    await writeNoise(join(folder, `part-${at}.bin`), Math.floor(size / files));
}

/** Gives one of the files other bytes, and answers how many. */
export async function changeOneFile(folder: string, size: number): Promise<number> {
  const changed = Math.floor(size / files);
  await writeNoise(join(folder, 'part-3.bin'), changed);
  return changed;
}

/** A zip of the folder's files, stored without compression, as archives of weights are. */
export async function zipWeights(folder: string, path: string): Promise<void> {
  const zip = new yazl.ZipFile();
  for (const name of (await readdir(folder)).sort())
    zip.addFile(join(folder, name), name, { compress: false });
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path));
}

async function writeNoise(path: string, size: number): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (let left = size; left > 0; left -= piece) await file.write(randomBytes(Math.min(piece, left)));
  } finally {
    await file.close();
  }
}
