import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { messageOf } from '../../contract/errors.js';
import { engineOptions } from '../../platform/targets/engine.js';
import type { Home } from './home.js';
import type { Settings } from './settings.js';

export type Engine = NonNullable<Settings['engine']>;

/** Oldest engine that builds as Slipway does. https://docs.docker.com/engine/api/version-history/ */
const oldestApi = '1.41';

export const connectEngine = (address: string): Docker => new Docker(engineOptions(address));

/** Throws unless the engine answers within `budget` ms and is new enough. */
export async function askEngine(address: string, budget = 5_000): Promise<void> {
  const docker = new Docker({ ...engineOptions(address), timeout: budget });
  const { ApiVersion } = await docker.version();
  if (Number(ApiVersion.split('.')[1]) < Number(oldestApi.split('.')[1]))
    throw new Error(
      `the engine at "${address}" has API ${ApiVersion}; Slipway needs ${oldestApi} (Docker 20.10)`,
    );
}

/**
 * The engine that answers (`DOCKER_HOST`, else the usual sockets), else a private one, which takes root on Linux.
 * Throws an error that says what was tried and what to do.
 */
export async function chooseEngine(home: Home, getDockerd: () => Promise<string>): Promise<Engine> {
  const tried: string[] = [];
  const shared = await findShared(tried);
  if (shared !== null) return shared;
  if (process.platform === 'linux' && process.getuid?.() === 0) {
    await getDockerd();
    // Installing the package may have started the machine's own engine: then there is no need for another.
    return (
      (await findShared([])) ?? { kind: 'private', docker: `unix://${join(home.runtime, 'docker.sock')}` }
    );
  }
  throw new Error(
    `finding a Docker engine: ${tried.join('; ') || 'no socket at the usual places'}. ` +
      'Start Docker (and be in the group "docker"), set DOCKER_HOST, or run as root on Linux for a private engine.',
  );
}

async function findShared(tried: string[]): Promise<Engine | null> {
  for (const docker of candidates()) {
    try {
      await askEngine(docker);
      return { kind: 'shared', docker };
    } catch (error) {
      // What was asked for by name is not silently replaced by something else.
      if (docker === process.env['DOCKER_HOST'])
        throw new Error(
          `asking DOCKER_HOST "${docker}": ${messageOf(error)}; start it or unset DOCKER_HOST`,
          {
            cause: error,
          },
        );
      tried.push(`${docker}: ${messageOf(error)}`);
    }
  }
  return null;
}

function candidates(): string[] {
  const named = process.env['DOCKER_HOST'];
  if (named) return [named];
  const runtime = process.env['XDG_RUNTIME_DIR'];
  return [
    '/var/run/docker.sock',
    ...(runtime ? [join(runtime, 'docker.sock')] : []),
    join(homedir(), '.docker', 'run', 'docker.sock'),
  ]
    .filter((path) => existsSync(path))
    .map((path) => `unix://${path}`);
}
