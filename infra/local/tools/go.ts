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
  install: (folder, say, signal) => builds(() => compile(build, folder, say, signal)),
});

async function compile(build: Build, folder: string, say: Say, signal: AbortSignal): Promise<void> {
  const go = await which('go');
  if (go === null) throw new Error('Go is not installed');
  const running = execa(go, ['install', '-v', `${build.module}@${build.moduleVersion}`], {
    env: { GOBIN: folder, CGO_ENABLED: '0', GOFLAGS: '-trimpath' },
    // In a folder of no module, so that no go.mod around us has a say.
    cwd: cacheFolder('tools'),
    cancelSignal: signal,
    timeout: 30 * 60_000,
    reject: false,
    stdin: 'ignore',
  });
  let compiled = 0;
  let told = Date.now();
  const last: string[] = [];
  for await (const line of running.iterable({ from: 'stderr' })) {
    compiled += 1;
    last.push(line);
    if (last.length > 3) last.shift();
    if (Date.now() - told < 15_000) continue;
    told = Date.now();
    say(`building ${build.program}: ${compiled} packages so far`);
  }
  const { failed, shortMessage } = await running;
  signal.throwIfAborted();
  if (failed) throw new Error(`${shortMessage?.split('\n')[0]}: ${last.join('; ')}`);
}
