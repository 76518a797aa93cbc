import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lock } from 'proper-lockfile';

/** Paths fixed in containerd and its shim. The machine's own containerd has its state there too. */
const folders = ['/var/lib/cni', '/run/containerd'];

/** Notes which of them a node made: all nodes of the machine share it, and the last one clears up. */
const notes = '/run/slipway-borrowed';
const nodes = /^slipway-[0-9a-f]+-node$/;

/** Gives `mount` each of the folders, made where the machine lacks it, to be covered inside a node. */
export async function borrowFolders(mount: (folder: string, index: number) => Promise<void>): Promise<void> {
  await whileLocked(async () => {
    for (const [index, folder] of folders.entries()) {
      if (!existsSync(folder)) {
        await mkdir(notes, { recursive: true });
        await writeFile(join(notes, String(index)), folder);
        await mkdir(folder, { recursive: true });
      }
      await mount(folder, index);
    }
  });
}

/**
 * Removes what was made, unless a node is left: to remove a folder undoes what is mounted on it anywhere. Call when
 * one's own node has gone.
 */
export async function returnFolders(): Promise<void> {
  if (!existsSync(notes)) return;
  await whileLocked(async () => {
    if ((await readdir('/run')).some((name) => nodes.test(name))) return;
    for (const [index, folder] of folders.entries()) {
      if (!existsSync(join(notes, String(index)))) continue;
      await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
        // Something else uses it by now.
        if (!['ENOTEMPTY', 'EEXIST', 'EBUSY', 'ENOENT'].includes(error.code ?? '')) throw error;
      });
    }
    await rm(notes, { recursive: true, force: true });
  });
}

async function whileLocked(act: () => Promise<void>): Promise<void> {
  const release = await lock(notes, {
    realpath: false,
    stale: 10_000,
    retries: { forever: true, minTimeout: 50, maxTimeout: 500 },
  });
  try {
    await act();
  } finally {
    await release();
  }
}
