import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compare, hash } from 'bcryptjs';
import { stringify } from 'yaml';
import { readIfPresent, writeAtomically } from '../files.js';
import type { Component, Local } from './component.js';
import { ensureProcess, problemOf, runningPid, stopServer, type ServerProcess } from './server-process.js';

/** The CNCF distribution registry on one folder, behind a user name and password. */
export function registry({ home, ports, settings, tools, report, signal }: Local): Component {
  const { username, password, http } = settings.secrets.registry;
  const configFile = join(home.run, 'registry.yml');
  const usersFile = join(home.run, 'registry.htpasswd');
  const url = `http://127.0.0.1:${ports.registry}`;
  const server: ServerProcess = {
    home,
    name: 'registry',
    report,
    signal,
    budget: 60_000,
    prepare: async () => {
      const folder = join(home.data, 'registry');
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeUsers(usersFile, username, password);
      // No blob cache: after a collection it would say that blobs exist which do not.
      const config = stringify({
        version: 0.1,
        log: { level: 'warn', accesslog: { disabled: true } },
        storage: {
          filesystem: { rootdirectory: folder },
          delete: { enabled: true },
          // A cut upload leaves its bytes behind.
          maintenance: { uploadpurging: { enabled: true, age: '24h', interval: '1h', dryrun: false } },
        },
        http: { addr: `127.0.0.1:${ports.registry}`, secret: http },
        auth: { htpasswd: { realm: 'slipway', path: usersFile } },
      });
      await writeAtomically(configFile, config);
      return { command: await tools.registry(), args: ['serve', configFile], version: config };
    },
    check: async (abort) => {
      const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
      const response = await fetch(`${url}/v2/`, { headers: { authorization }, signal: abort });
      await response.body?.cancel();
      if (response.status !== 200) throw new Error(`asking "${url}/v2/": status ${response.status}`);
    },
  };
  return {
    name: 'registry',
    url,
    ensure: () => ensureProcess(server),
    stop: () => stopServer(server),
    problem: () => problemOf(server),
    pid: () => runningPid(server),
  };
}

/** The registry hashes at every request, and guessing a random password of 192 bits needs no slowing down. */
const hashRounds = 5;

/** Hashes are salted: a file that already fits is kept, so that nothing restarts. */
async function writeUsers(path: string, username: string, password: string): Promise<void> {
  const [user, hashed] = (await readIfPresent(path))?.trim().split(':') ?? [];
  if (user === username && hashed && (await compare(password, hashed))) return;
  await writeAtomically(path, `${username}:${await hash(password, hashRounds)}\n`);
}
