// A reporter of `node --test` for `npm test`: how many tests there were, and what failed, a JSON value a line.
import { relative } from 'node:path';
import { inspect } from 'node:util';
import { root } from './bootstrap.mjs';

export default async function* report(events) {
  const path = [];
  for await (const { type, data } of events) {
    if (type === 'test:start') path.splice(data.nesting, Infinity, data.name);
    const told = type === 'test:fail' ? failure(path, data) : type === 'test:diagnostic' ? count(data) : null;
    if (told) yield `${JSON.stringify(told)}\n`;
  }
}

/** `{ "failure": "test/area/x.test.ts: suite > test (12 ms)…" }` */
function failure(path, { name, nesting, file, details: { error, duration_ms: duration } }) {
  // A suite fails when a test in it does, which is told by itself.
  if (error?.failureType === 'subtestsFailed') return null;
  const where = file ? `${relative(root, file)}: ` : '';
  const names = [...path.slice(0, nesting), name].join(' > ');
  const why = inspect(error?.cause ?? error).replaceAll(/^(?=.)/gm, '    ');
  return { failure: `${where}${names} (${Math.round(duration)} ms)\n${why}` };
}

/** `{ "tests": 12 }`, `{ "pass": 12 }` and so on, told at the end. */
function count({ nesting, message }) {
  const [, name, number] = /^(\w+) (\d+)$/.exec(message) ?? [];
  return nesting === 0 && name ? { [name]: Number(number) } : null;
}
