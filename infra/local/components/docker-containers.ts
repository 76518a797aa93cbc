import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { connectEngine } from '../engine.js';
import { readIfPresent, writeAtomically } from '../files.js';
import type { Home } from '../home.js';

/** Ids of the containers that `down` stopped and `up` starts again. */
const Stopped = z.array(z.string());
const stoppedFile = (home: Home): string => join(home.run, 'stopped-containers.json');

type Filters = { label?: string[] };

/** Stops the running containers that match, remembering them. They have 15 s to end. */
export async function stopContainers(address: string, home: Home, filters: Filters): Promise<void> {
  const engine = connectEngine(address);
  const running = await engine.listContainers({ filters });
  if (running.length === 0) return;
  // Before the first is stopped: cut short, `down` has still told `up` about all of them.
  const known = await readStopped(home);
  await writeAtomically(
    stoppedFile(home),
    JSON.stringify([...new Set([...known, ...running.map(({ Id }) => Id)])]),
  );
  await Promise.all(running.map(({ Id }) => ignoring([304, 404], engine.getContainer(Id).stop({ t: 15 }))));
}

/** Starts again what {@link stopContainers} stopped and nobody has removed since. */
export async function startStopped(address: string, home: Home): Promise<void> {
  const stopped = await readStopped(home);
  const engine = connectEngine(address);
  await Promise.all(stopped.map((id) => ignoring([304, 404], engine.getContainer(id).start())));
  await rm(stoppedFile(home), { force: true });
}

async function readStopped(home: Home): Promise<string[]> {
  const text = await readIfPresent(stoppedFile(home));
  return text === null ? [] : Stopped.parse(JSON.parse(text));
}

/** Awaits an engine's answer; these statuses say that it is so already. */
export async function ignoring(statuses: number[], answer: Promise<unknown>): Promise<void> {
  try {
    await answer;
  } catch (error) {
    if (!statuses.includes((error as { statusCode?: number }).statusCode ?? 0)) throw error;
  }
}
