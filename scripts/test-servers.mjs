// Servers that test files of a run share without a stack: a PostgreSQL, a Kubernetes control plane. Each is a program
// that says `ready {…}`, with the environment of those who use it, and ends with its input.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { root } from './bootstrap.mjs';

const programs = { database: 'database-server.js', apiserver: 'apiserver-server.js' };
export const sharedServers = Object.keys(programs);

/** Starts one; answers the environment it is found by, and a function that ends it. Throws when it does not come up. */
export async function startServer(name, { env }) {
  const child = spawn(process.execPath, ['--enable-source-maps', `dist/test/support/${programs[name]}`], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
    env,
  });
  const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)));
  const stop = async () => {
    child.stdin.end();
    await ended;
  };
  const ready = new Promise((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('ready ')) resolve(JSON.parse(line.slice('ready '.length)));
    });
  });
  const failed = ended.then((status) => {
    throw new Error(`starting the ${name} that tests share: it ended with ${status}`);
  });
  failed.catch(() => undefined);
  return { environment: await Promise.race([ready, failed]), stop };
}
