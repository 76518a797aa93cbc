// `npm test`: everything CI runs. `npm test -- test/area/x.test.ts` runs only that file, without lint and format.
import { bootstrap, root } from './bootstrap.mjs';
import { needsCluster, needsStack, testFiles, testSource } from './test-files.mjs';
import { runInLanes } from './test-lanes.mjs';
import { TestRun } from './test-run.mjs';

const minute = 60_000;
const began = Date.now();
await bootstrap();
const selected = process.argv.slice(2);
const files = testFiles(root, selected);
const run = new TestRun({ sideBySide: files.length > 1 });
const { whyNoCluster } = await import('../dist/infra/local/cluster.js');
const noCluster = files.some(needsCluster) ? await whyNoCluster() : null;
const notRun = noCluster === null ? [] : files.filter(needsCluster);
const integration = files.filter((file) => needsStack(file) && !notRun.includes(file));
const unit = files.filter((file) => !needsStack(file));

if (selected.length === 0) {
  await run.step('lint', 'node_modules/.bin/oxlint', ['--type-aware', '--deny-warnings']);
  await run.step('format', 'node_modules/.bin/prettier', ['--check', '--log-level', 'warn', '.']);
  await run.step('tools', process.execPath, ['--enable-source-maps', 'dist/test/support/prepare-tools.js']);
}
await Promise.all([
  run.tests('tests without a stack', unit, ['--test-concurrency=2', `--test-timeout=${10 * minute}`]),
  runInLanes(run, integration),
]);

const { processesWith } = await import('../dist/infra/local/leftovers.js');
const left = await processesWith(run.marker);
if (left.length > 0) run.failures.push(`no process may be left behind, but: ${left.join(', ')}`);
run.removeFolder();

for (const file of notRun) console.log(`not run: ${testSource(root, file)}: ${noCluster}`);
for (const failure of run.failures) console.log(`failed: ${failure}`);
if (run.interrupted) console.log(`interrupted by ${run.interrupted}`);
for (const [name, count] of Object.entries(run.counts)) console.log(`# ${name} ${count}`);
console.log(`# duration_ms ${Date.now() - began}`);
process.exitCode = run.failures.length > 0 || run.interrupted || run.counts.fail > 0 ? 1 : 0;
