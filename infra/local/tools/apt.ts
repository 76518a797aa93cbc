import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import pLimit from 'p-limit';
import { which } from './path.js';
import type { Say, Source } from './tool.js';

/** Installs a tool from the distribution's packages; as root on Debian and Ubuntu. */
export const apt = (...packages: string[]): Source => ({
  what: `installing it: apt-get install ${packages.join(' ')}`,
  keeps: 'on PATH',
  install: (_folder, say, signal) => aptInstall(packages, say, signal),
});

/** Throws an error that says why it cannot be done here, or with the last lines of what apt-get said. */
export async function aptInstall(packages: string[], say: Say, signal: AbortSignal): Promise<void> {
  if ((await which('apt-get')) === null) throw new Error('there is no apt-get here');
  if (process.getuid?.() !== 0) throw new Error('apt-get needs root');
  const install = (): Promise<void> =>
    run(['install', '--yes', '--no-install-recommends', ...packages], signal);
  try {
    await install();
  } catch {
    signal.throwIfAborted();
    // Lists that are missing or old are the usual reason.
    say('refreshing the package lists: apt-get update');
    await run(['update'], signal);
    say(`installing ${packages.join(' ')} with apt-get`);
    await install();
  }
}

/** Its lock on what is being installed is waited for, that on the lists is not: several tools may be got at once. */
const turns = pLimit(1);

const run = (args: string[], signal: AbortSignal, cwd = '/'): Promise<void> =>
  turns(() => runNow(args, signal, cwd));

async function runNow(args: string[], signal: AbortSignal, cwd: string): Promise<void> {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const options = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0', '--quiet=2'];
  const { exitCode, all, isCanceled } = await execa('apt-get', [...options, ...args], {
    env,
    cwd,
    all: true,
    reject: false,
    cancelSignal: signal,
    stdin: 'ignore',
  });
  if (isCanceled) signal.throwIfAborted();
  if (exitCode !== 0)
    throw new Error(`apt-get ${args.join(' ')}: ${(all ?? '').trim().split('\n').slice(-3).join('; ')}`);
}

/**
 * Takes one program out of a distribution's package without installing it: the package would start a service
 * of its own, and installing needs root.
 */
export const fromPackage = (name: string, path: string): Source => ({
  what: `taking it from the package ${name}: apt-get download`,
  keeps: { version: 'package', program: path },
  async install(folder, say, signal) {
    if ((await which('apt-get')) === null) throw new Error('there is no apt-get here');
    const fetch = (): Promise<void> => run(['download', name], signal, folder);
    try {
      await fetch();
    } catch (error) {
      signal.throwIfAborted();
      if (process.getuid?.() !== 0) throw error;
      say('refreshing the package lists: apt-get update');
      await run(['update'], signal);
      await fetch();
    }
    const archive = (await readdir(folder)).find((file) => file.endsWith('.deb'));
    if (archive === undefined) throw new Error('apt-get downloaded nothing');
    await execa('dpkg-deb', ['--extract', join(folder, archive), folder], { cancelSignal: signal });
    await rm(join(folder, archive));
  },
});
