// How long each test file takes, so that the longest begin first. Kept in the repository; a whole run that passes
// writes it anew.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './bootstrap.mjs';

const path = join(root, 'test', 'durations.json');
const known = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {};

/** Seconds that a test file (`test/area/x.test.ts`) took; of an unknown one, more than most: it begins early. */
export const expectedSeconds = (source) => known[source] ?? 60;

/** Notes what a run has measured, in seconds by test file; what it did not run is forgotten. */
export function keepDurations(measured) {
  const entries = [...measured].map(([source, seconds]) => [source, Math.max(1, Math.round(seconds))]);
  entries.sort(([one], [other]) => (one < other ? -1 : 1));
  writeFileSync(path, `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`);
}
