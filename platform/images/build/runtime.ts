import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { digestOf, type Digest } from '../../../contract/names.js';

/** The Python runtime: what goes into every image, by path under `runtimes/python/`. */
export type Runtime = { files: ReadonlyMap<string, Buffer>; digest: Digest };

let loaded: Runtime | undefined;

/** Reads the runtime's files once; a running process keeps the version that it started with. */
export function pythonRuntime(): Runtime {
  return (loaded ??= readRuntime(runtimeFolder()));
}

/** The runtime in a folder. Its digest is part of every source image's key: a change of any file builds anew. */
export function readRuntime(root: string): Runtime {
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(?:py|sh|txt)$/.test(path) && !path.startsWith('tests'))
    .sort();
  const files = new Map(paths.map((path) => [path, readFileSync(join(root, path))]));
  const hash = createHash('sha256');
  for (const [path, content] of files) hash.update(`${path}\0${content.length}\0`).update(content);
  return { files, digest: digestOf(hash.digest('hex')) };
}

/** Compiled code runs from `dist/`, which holds TypeScript's output alone: the runtime lies further up. */
function runtimeFolder(): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); at !== dirname(at); at = dirname(at)) {
    const folder = join(at, 'runtimes', 'python');
    if (existsSync(join(folder, 'slipway_runtime'))) return folder;
  }
  throw new Error('finding "runtimes/python": not in any folder above this program');
}
