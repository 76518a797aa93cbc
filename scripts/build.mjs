// Compiles TypeScript into dist/, skipping the compiler when no source has changed.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './dependencies.mjs';

const stampOf = (root) => join(root, 'dist', '.slipway-build');
const foldersOf = (root) => JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8')).include;

/** Is dist/ what the sources compile to? Judged by paths, sizes and times, which takes milliseconds. */
export function isBuilt(root) {
  const stamp = stampOf(root);
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint(root);
}

/** Compiles. Throws with the compiler's messages when there are type errors. */
export async function build(root) {
  console.error('compiling …');
  mkdirSync(join(root, 'dist'), { recursive: true });
  const before = fingerprint(root);
  removeOrphans(root);
  // The compiler writes only what it thinks has changed: it must not trust its notes where outputs are missing.
  if (sources(root).some((path) => !path.endsWith('.d.ts') && !existsSync(outputOf(root, path))))
    rmSync(join(root, 'dist', '.tsbuildinfo'), { force: true });
  await run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', root], root);
  writeFileSync(stampOf(root), before);
}

function fingerprint(root) {
  const hash = createHash('sha256');
  for (const path of [...sources(root), join(root, 'tsconfig.json'), join(root, 'package-lock.json')]) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${relative(root, path)} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function sources(root) {
  return foldersOf(root)
    .flatMap((folder) => files(join(root, folder)))
    .filter((path) => /\.c?ts$/.test(path))
    .sort();
}

const outputOf = (root, source) => join(root, 'dist', relative(root, source)).replace(/\.(c?)ts$/, '.$1js');

/** A test whose source was deleted must not go on running from dist/. */
function removeOrphans(root) {
  for (const folder of foldersOf(root))
    for (const path of files(join(root, 'dist', folder)))
      if (/\.c?js$/.test(path) && existsSync(`${path}.map`)) {
        const source = join(root, relative(join(root, 'dist'), path)).replace(/\.(c?)js$/, '.$1ts');
        if (!existsSync(source)) {
          rmSync(path);
          rmSync(`${path}.map`);
        }
      }
}

function files(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  rmSync(stampOf(dirname(dirname(fileURLToPath(import.meta.url)))), { force: true });
  // Not awaited here: bootstrap imports this module, and would wait for its end in vain.
  void import('./bootstrap.mjs').then(({ bootstrap }) => bootstrap());
}
