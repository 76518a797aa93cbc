// Makes a fresh clone runnable with nothing but Node: dependencies, then compiled code. No dependencies itself.
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { build, isBuilt } from './build.mjs';
import { areDependenciesCurrent, installDependencies } from './dependencies.mjs';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const lockFile = join(root, 'dist', '.bootstrap-lock');

/** Installs and compiles whatever is missing or out of date, or ends the process saying why. Two at once take turns. */
export async function bootstrap() {
  if (areDependenciesCurrent(root) && isBuilt(root)) return;
  const release = await lock();
  try {
    if (!areDependenciesCurrent(root)) await installDependencies(root);
    if (!isBuilt(root)) await build(root);
  } catch (error) {
    console.error(error.message);
    release();
    process.exit(1);
  } finally {
    release();
  }
}

async function lock() {
  mkdirSync(dirname(lockFile), { recursive: true });
  for (let told = false; ;) {
    try {
      const file = openSync(lockFile, 'wx');
      writeFileSync(file, String(process.pid));
      closeSync(file);
      const release = () => rmSync(lockFile, { force: true });
      process.once('exit', release);
      return release;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (isAbandoned()) {
      rmSync(lockFile, { force: true });
      continue;
    }
    if (!told) console.error('waiting for another slipway that is installing or compiling …');
    told = true;
    await sleep(250);
  }
}

/** A holder that was killed, or a lock whose pid was never written. */
function isAbandoned() {
  try {
    const pid = Number(readFileSync(lockFile, 'utf8'));
    if (pid > 0) return !isAlive(pid);
    return Date.now() - statSync(lockFile).mtimeMs > 5_000;
  } catch (error) {
    if (error.code === 'ENOENT') return false;
    throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
