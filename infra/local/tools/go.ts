import { execa } from 'execa';
import pLimit from 'p-limit';
import { cacheFolder } from '../home.js';
import { which } from './path.js';
import type { Say, Source } from './tool.js';

/** Each build takes every core and gigabytes of memory. */
const builds = pLimit(2);

type Build = { module: string; moduleVersion: string; program: string; version: string };

/** Builds a tool with `go install`. */
export const goInstall = (build: Build): Source => ({
  what: `building it: go install ${build.module}@${build.moduleVersion} (some minutes)`,
  keeps: { version: build.version, program: build.program },
  install: (folder, say, signal) =>
    builds(() =>
      compile(build.program, ['install', `${build.module}@${build.moduleVersion}`], say, signal, {
        env: { GOBIN: folder },
        // In a folder of no module, so that no go.mod around us has a say.
        cwd: cacheFolder('tools'),
      }),
    ),
});

type OwnBuild = {
  /** Folder of the module, and its packages to build, each a program. */
  module: string;
  packages: string[];
  ldflags: string;
  version: string;
  /** The one that is asked for. */
  program: string;
  /** How many packages the whole has: what progress is told against. */
  size: number;
  /** Called with the folder once everything is built. */
  finish: (folder: string) => Promise<void>;
};

/** Builds programs of a module of this repository, at the versions its `go.sum` pins. */
export const goBuild = (build: OwnBuild): Source => ({
  what: `building it with Go from ${build.module} (about 5 minutes on two cores, once)`,
  keeps: { version: build.version, program: build.program },
  async install(folder, say, signal) {
    const args = ['build', '-mod=readonly', '-ldflags', build.ldflags, '-o', folder, ...build.packages];
    await builds(() =>
      compile(build.program, args, say, signal, { cwd: build.module, env: {}, size: build.size }),
    );
    await build.finish(folder);
  },
});

async function compile(
  program: string,
  [command = '', ...args]: string[],
  say: Say,
  signal: AbortSignal,
  { env, cwd, size }: { env: NodeJS.ProcessEnv; cwd: string; size?: number },
): Promise<void> {
  const go = await which('go');
  if (go === null) throw new Error('Go is not installed');
  const running = execa(go, [command, '-v', ...args], {
    env: { ...env, CGO_ENABLED: '0', GOFLAGS: '-trimpath', GOWORK: 'off' },
    cwd,
    cancelSignal: signal,
    timeout: 30 * 60_000,
    reject: false,
    stdin: 'ignore',
  });
  let compiled = 0;
  let fetched = 0;
  let told = Date.now();
  const last: string[] = [];
  for await (const line of running.iterable({ from: 'stderr' })) {
    if (line.startsWith('go: downloading')) fetched += 1;
    else compiled += 1;
    last.push(line);
    if (last.length > 3) last.shift();
    if (Date.now() - told < 15_000) continue;
    told = Date.now();
    say(
      compiled === 0
        ? `building ${program}: ${fetched} modules downloaded so far`
        : `building ${program}: ${compiled}${size === undefined ? '' : ` of ${size}`} packages so far`,
    );
  }
  const { failed, shortMessage } = await running;
  signal.throwIfAborted();
  if (failed) throw new Error(`${shortMessage?.split('\n')[0]}: ${last.join('; ')}`);
}
