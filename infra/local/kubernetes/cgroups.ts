import { constants } from 'node:fs';
import { access, mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../../contract/errors.js';

const root = '/sys/fs/cgroup';

/** Folders of the hierarchies: one in version 2, one a controller in version 1. */
async function hierarchies(): Promise<string[]> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '));
  return mounts
    .filter(([, point, type]) => (type === 'cgroup' || type === 'cgroup2') && point?.startsWith(root))
    .map(([, point]) => point as string);
}

/** Why pods cannot have control groups on this machine, or null. */
export async function whyNoCgroups(): Promise<string | null> {
  const found = await hierarchies();
  if (found.length === 0) return `no control groups are mounted below ${root}`;
  try {
    for (const folder of found) {
      await access(folder, constants.W_OK);
      await delegate(folder);
    }
    return null;
  } catch (error) {
    return `the control groups of this machine cannot be changed: ${messageOf(error)}`;
  }
}

/** Makes the control group that the pods' groups go into. */
export async function createCgroup(name: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    const folder = join(hierarchy, name);
    // Version 2 hands controllers down one level at a time.
    await delegate(hierarchy);
    await mkdir(folder, { recursive: true });
    await delegate(folder);
    // Version 1 starts a group without processors and memory, and nothing can run in it.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) await copy(join(hierarchy, file), join(folder, file));
  }
}

async function delegate(folder: string): Promise<void> {
  const controllers = await readFile(join(folder, 'cgroup.controllers'), 'utf8').catch(() => '');
  if (controllers.trim() === '') return;
  const wanted = controllers
    .trim()
    .split(' ')
    .map((controller) => `+${controller}`)
    .join(' ');
  await writeFile(join(folder, 'cgroup.subtree_control'), wanted);
}

async function copy(from: string, to: string): Promise<void> {
  const value = await readFile(from, 'utf8').catch(() => '');
  const own = await readFile(to, 'utf8').catch(() => 'absent');
  if (value.trim() !== '' && own.trim() === '') await writeFile(to, value);
}

/** Every control group of that name, the deepest first. */
export async function findCgroups(name: string): Promise<string[]> {
  const found: string[] = [];
  const descend = async (folder: string): Promise<void> => {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => null);
    if (entries === null) return;
    for (const entry of entries) if (entry.isDirectory()) await descend(join(folder, entry.name));
    found.push(folder);
  };
  for (const hierarchy of await hierarchies().catch(() => [])) await descend(join(hierarchy, name));
  return found;
}

/** Removes them. Their processes have been killed, and some may still be on their way out. */
export async function removeCgroups(name: string): Promise<void> {
  for (const end = Date.now() + 15_000; ; await sleep(50)) {
    let cause: unknown;
    for (const folder of await findCgroups(name))
      await rmdir(folder).catch((error: unknown) => {
        cause = error;
      });
    if ((await findCgroups(name)).length === 0) return;
    if (Date.now() > end)
      throw new Error(`removing the control groups of "${name}": they are not empty`, { cause });
  }
}
