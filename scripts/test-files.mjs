// Which test files there are, and which of them need the stack or its cluster.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/** Compiled test files; of the selected sources (files or folders such as `test/stack`) when there are any. */
export function testFiles(root, selected) {
  const all = readdirSync(join(root, 'dist', 'test'), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.js'))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
  if (selected.length === 0) return all;
  return selected.flatMap((name) => {
    const path = join(root, 'dist', relative(root, resolve(name))).replace(/\.ts$/, '.js');
    const files = all.filter((file) => file === path || file.startsWith(`${path}/`));
    if (files.length === 0) {
      console.error(`no tests at "${name}"`);
      process.exit(2);
    }
    return files;
  });
}

/** Where a compiled test file comes from, as people name it. */
export const testSource = (root, file) => relative(join(root, 'dist'), file).replace(/\.js$/, '.ts');

/** Does a test use the stack of the run? */
export const needsStack = (file) => reaches(file, '/test/support/stack.js');

/** Does it use the stack's Kubernetes cluster? */
export const needsCluster = (file) => reaches(file, '/test/support/cluster.js');

/** Does a file import another, itself or through something else? */
function reaches(file, wanted, seen = new Set()) {
  if (file.endsWith(wanted)) return true;
  if (seen.has(file) || !existsSync(file)) return false;
  seen.add(file);
  const imports = readFileSync(file, 'utf8').matchAll(/\bfrom '(\.[^']+)'|\bimport\(?\s*'(\.[^']+)'/g);
  return [...imports].some(([, from, bare]) => reaches(resolve(dirname(file), from ?? bare), wanted, seen));
}
