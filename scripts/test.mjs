// `npm test`: everything CI runs. `npm test -- test/area/x.test.ts` runs only that file, without lint and format.
// `npm run soak`: the whole products of faults, before a release.
import { bootstrap, root } from './bootstrap.mjs';
import { keepDurations } from './test-durations.mjs';
import { needsOf, testFiles, testSource } from './test-files.mjs';
import { TestRun } from './test-run.mjs';
import { Schedule } from './test-schedule.mjs';
import { startServer } from './test-servers.mjs';

const began = Date.now();
await bootstrap();
const soak = process.argv[2] === '--soak';
const selected = process.argv.slice(soak ? 3 : 2);
const whole = selected.length === 0 && !soak;
const files = testFiles(root, selected, { soak });
const run = new TestRun({ sideBySide: files.length > 1 });
const { whyNoCluster } = await import('../dist/infra/local/cluster.js');
const needsCluster = (file) => needsOf(file).node || needsOf(file).apiserver;
const noCluster = files.some(needsCluster) ? await whyNoCluster() : null;
const notRun = noCluster === null ? [] : files.filter(needsCluster);
const schedule = new Schedule(
  run,
  files.filter((file) => !notRun.includes(file)),
  // What hangs must not take the time of all others.
  { timeout: (expected) => (soak ? 7_200 : 600 + 3 * expected) },
);

const start = (name) => startServer(name, { env: run.environment() });
const checks = async () => {
  await run.step('lint', 'node_modules/.bin/oxlint', ['--type-aware', '--deny-warnings'], { whole: true });
  const format = ['--check', '--log-level', 'warn', '.'];
  await run.step('format', 'node_modules/.bin/prettier', format, { whole: true });
};
const prepare = ['--enable-source-maps', 'dist/test/support/prepare-tools.js'];
const tools = whole ? run.step('tools', process.execPath, prepare) : Promise.resolve();
await Promise.all([whole && checks(), schedule.all({ tools, start })]);

const { processesWith } = await import('../dist/infra/local/leftovers.js');
const left = await processesWith(run.marker);
if (left.length > 0) run.failures.push(`no process may be left behind, but: ${left.join(', ')}`);
run.removeFolder();

const seconds = (ms) => `${String(Math.round(ms / 1000)).padStart(5)} s`;
if (files.length > 1) {
  const slowest = [...schedule.durations].sort(([, one], [, other]) => other - one).slice(0, 20);
  console.log('\nslowest files:');
  for (const [source, duration] of slowest) console.log(`${seconds(duration * 1000)}  ${source}`);
  console.log('phases:');
  for (const [name, duration] of run.phases) console.log(`${seconds(duration)}  ${name}`);
}
for (const file of notRun) console.log(`not run: ${testSource(root, file)}: ${noCluster}`);
for (const failure of run.failures) console.log(`failed: ${failure}`);
if (run.interrupted) console.log(`interrupted by ${run.interrupted}`);
for (const [name, count] of Object.entries(run.counts)) console.log(`# ${name} ${count}`);
console.log(`# duration_ms ${Date.now() - began}`);
const failed = run.failures.length > 0 || run.interrupted || run.counts.fail > 0;
if (whole && !failed && notRun.length === 0) keepDurations(schedule.durations);
process.exitCode = failed ? 1 : 0;
