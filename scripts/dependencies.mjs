// `npm install` of what the lock file names, only when package-lock.json asks for something that node_modules does not hold.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawn } from 'node:child_process';

const stampOf = (root) => join(root, 'node_modules', '.slipway-lock');
const hashOf = (root) =>
  createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');

/** Does node_modules hold what package-lock.json names? Also right when the user ran `npm ci`. */
export function areDependenciesCurrent(root) {
  const hash = hashOf(root);
  if (read(stampOf(root))?.trim() === hash) return true;
  // npm keeps what it installed in a hidden lock file of the same form.
  const installed = JSON.parse(read(join(root, 'node_modules', '.package-lock.json')) ?? '{}').packages;
  if (!installed) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const same = Object.entries(wanted).every(
    ([path, entry]) =>
      path === '' ||
      entry.optional ||
      (entry.peer && !installed[path]) ||
      installed[path]?.version === entry.version,
  );
  if (same) writeFileSync(stampOf(root), hash);
  return same;
}

/**
 * Installs the versions that package-lock.json names. Not by `npm ci`: that refuses a lock file without the optional
 * packages of platforms that a registry mirror does not carry. Nothing here relies on install scripts,
 * which npm blocks until approved.
 */
export async function installDependencies(root) {
  console.error('installing dependencies (once, about a minute) …');
  await run(
    'npm',
    ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    root,
  );
  writeFileSync(stampOf(root), hashOf(root));
}

/** Runs a command; its output is shown only when it fails. Output never goes to stdout, which may be `--json`. */
export function run(command, args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = [];
    child.stdout.on('data', (chunk) => output.push(chunk));
    child.stderr.on('data', (chunk) => output.push(chunk));
    child.on('error', (error) =>
      reject(new Error(`running "${command}": ${error.message}; is it installed and on PATH?`)),
    );
    child.on('close', (code, signal) => {
      const text = Buffer.concat(output).toString();
      if (code === 0) resolve(text);
      else reject(new Error(`${text}\nrunning "${command} ${args.join(' ')}" ended with ${code ?? signal}`));
    });
  });
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
}
