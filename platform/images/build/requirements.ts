import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { SlipwayError } from '../../../contract/errors.js';
import type { ServeSpec } from '../../../contract/deploy.js';
import { cutLine } from '../../cut-line.js';
import { recipeNamed } from '../../recipes/index.js';
import { pythonRuntime } from './runtime.js';

/** Files of a source by their path under `/app/src`: each a file on this machine. */
export type SourceFiles = ReadonlyMap<string, string>;

/** What `pip install -r` reads: `requirements.txt` and what it refers to, each content or a file on this machine. */
export type Requirements = ReadonlyMap<string, { content: Buffer } | { file: string }>;

const archive = /\.(?:whl|zip|tar\.gz|tar\.bz2|tgz)$/i;
const included = /^(?:-r|-c|--requirement|--constraint)(?:\s+|\s*=\s*)(?<path>\S+)/;
const remote = /^(?:[a-z][a-z0-9+.-]*:|[\w.-]+\s*(?:\[[^\]]*\])?\s*@)/i;

/**
 * Requirements of a source: its `requirements.txt`, else the list that comes with the recipe, else none.
 * They are apart from the source, so that a change of the source alone installs nothing anew. Throws `InvalidInput`
 * naming the line that refers to what the source does not have.
 */
export async function requirementsOf(
  recipe: ServeSpec['recipe'],
  source: SourceFiles,
): Promise<Requirements | null> {
  if (!source.has('requirements.txt')) {
    const list = recipeNamed(recipe).requirements;
    const content = list === null ? undefined : pythonRuntime().files.get(list);
    return content ? new Map([['requirements.txt', { content }]]) : null;
  }
  const found = new Map<string, { file: string }>();
  await collect('requirements.txt', source, found);
  return found;
}

async function collect(
  path: string,
  source: SourceFiles,
  found: Map<string, { file: string }>,
): Promise<void> {
  const file = source.get(path)!;
  found.set(path, { file });
  const lines = (await readFile(file, 'utf8')).split(/\r?\n/);
  for (const [at, text] of lines.entries()) {
    const line = text.replace(/(?:^|\s)#.*$/, '').trim();
    const problem = (what: string): SlipwayError =>
      new SlipwayError('InvalidInput', `reading "${path}" line ${at + 1}, "${cutLine(line)}": ${what}`);
    const include = included.exec(line)?.groups?.['path'];
    const local = include ?? localPath(line);
    if (/^(?:-e|--editable)\b/.test(line))
      throw problem('the source is importable as it is; editable packages are not supported');
    if (local === undefined || remote.test(local)) continue;
    const target = posix.normalize(posix.join(posix.dirname(path), local));
    if (!source.has(target)) throw problem(`the source has no file "${cutLine(target)}"`);
    if (found.has(target)) continue;
    if (include === undefined) found.set(target, { file: source.get(target)! });
    else await collect(target, source, found);
  }
}

/** Path of a package that lies in the source itself. */
function localPath(line: string): string | undefined {
  const word = line.split(/[\s;]/, 1)[0] ?? '';
  if (word.startsWith('-') || remote.test(line)) return undefined;
  return word.startsWith('.') || word.startsWith('/') || archive.test(word)
    ? word.replace(/\[[^\]]*\]$/, '')
    : undefined;
}
