import { readFile } from 'node:fs/promises';
import { execa } from 'execa';

/** Ends mounts that something killed has left, the deepest first. proc_pid_mountinfo(5): field 5 is the mount point. */
export async function unmountBelow(folders: string[]): Promise<void> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4]?.replace(/\\040/g, ' ') ?? '')
    .filter((point) => folders.some((folder) => point === folder || point.startsWith(`${folder}/`)));
  for (const point of mounts.sort((a, b) => b.length - a.length)) await execa('umount', ['-l', point]);
}
