// A reporter of `node --test` that tells failures only: `npm test` repeats them at the end of all it has printed.
import { inspect } from 'node:util';
import { root } from './bootstrap.mjs';
import { testSource } from './test-files.mjs';

export default async function* failures(events) {
  const path = [];
  for await (const { type, data } of events) {
    if (type === 'test:start') path.splice(data.nesting, Infinity, data.name);
    if (type !== 'test:fail') continue;
    const { error, duration_ms: duration } = data.details;
    // A suite fails when a test in it does, which is told by itself.
    if (error?.failureType === 'subtestsFailed') continue;
    const names = [...path.slice(0, data.nesting), data.name].join(' > ');
    const file = data.file ? `${testSource(root, data.file)}: ` : '';
    yield `${file}${names} (${Math.round(duration)} ms)\n${indent(inspect(error?.cause ?? error))}\n`;
  }
}

const indent = (text) => text.replaceAll(/^(?=.)/gm, '    ');
