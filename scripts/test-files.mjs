// Which test files there are, when they run, and what each of them needs.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/**
 * Compiled test files: of the selected sources (files or folders such as `test/stack`) when there are any, else all that
 * belong to this kind of run.
 */
export function testFiles(root, selected, { soak }) {
  const all = readdirSync(join(root, 'dist', 'test'), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.js'))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
  if (selected.length === 0) return all.filter((file) => isSoak(file) === soak);
  return selected.flatMap((name) => {
    const path = join(root, 'dist', relative(root, resolve(name))).replace(/\.ts$/, '.js');
    const files = all.filter(
      (file) => file === path || (file.startsWith(`${path}/`) && isSoak(file) === soak),
    );
    if (files.length === 0) {
      console.error(`no tests at "${name}"`);
      process.exit(2);
    }
    return files;
  });
}

/** Where a compiled test file comes from, as people name it. */
export const testSource = (root, file) => relative(join(root, 'dist'), file).replace(/\.js$/, '.ts');

/** Products of faults in their whole: before a release, not at every change. */
const isSoak = (file) => file.endsWith('.soak.test.js');

/** Counts or measures what only a machine shows that does nothing else. */
export const isQuiet = (file) => file.endsWith('.quiet.test.js');

/** What a file that imports one of these needs, itself or through something else. */
const declarations = {
  stack: '/test/support/stack.js',
  node: '/test/support/cluster.js',
  harm: '/test/support/harm.js',
  database: '/test/support/database.js',
  apiserver: '/test/support/apiserver.js',
  tools: '/infra/local/tools/tool.js',
};

/**
 * What a test file needs, each true or false: `stack`, a whole one; `node`, such a one with a Kubernetes node; `harm`, one
 * of which it may end parts; `database` and `apiserver`, servers that all share; `tools`, programs that may have to be
 * built first.
 */
export function needsOf(file) {
  const reached = reachedFrom(file);
  const needs = Object.fromEntries(
    Object.entries(declarations).map(([need, wanted]) => [
      need,
      reached.some((path) => path.endsWith(wanted)),
    ]),
  );
  return { ...needs, stack: needs.stack || needs.node || needs.harm };
}

/** A compiled file and all that it imports. */
function reachedFrom(file, seen = new Set()) {
  if (seen.has(file) || !existsSync(file)) return [...seen];
  seen.add(file);
  const imports = readFileSync(file, 'utf8').matchAll(/\bfrom '(\.[^']+)'|\bimport\(?\s*'(\.[^']+)'/g);
  for (const [, from, bare] of imports) reachedFrom(resolve(dirname(file), from ?? bare), seen);
  return [...seen];
}
