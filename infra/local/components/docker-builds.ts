import { join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { unmountBelow } from '../mounts.js';

/** What `runc list` tells of each container; null stands for none. */
const Listed = z.array(z.object({ id: z.string(), bundle: z.string() })).nullable();

/** The builder's part of an engine's data; each step that runs has its bundle there. */
const stepsFolder = (data: string): string => join(data, 'buildkit', 'executor');

/**
 * Ends the steps of builds that outlived the engine with this data, and frees what they had mounted; none of it runs any
 * more. A builder runs its steps itself, without the shims by which containers are found again after a `kill -9`: nobody
 * else would ever end them.
 */
export async function endBuildSteps(data: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  for (const id of await listBuildSteps(data, env)) await execa('runc', ['delete', '--force', id], { env });
  await unmountBelow([stepsFolder(data)]);
}

/** Ids of the steps that runc knows of, those included that have ended and that nobody cleared away. */
export async function listBuildSteps(data: string, env: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const { stdout, exitCode } = await execa('runc', ['list', '--format', 'json'], { env, reject: false });
  // Without it no engine has run anything.
  if (exitCode !== 0) return [];
  const steps = Listed.parse(JSON.parse(stdout)) ?? [];
  return steps.filter(({ bundle }) => bundle.startsWith(`${stepsFolder(data)}/`)).map(({ id }) => id);
}
