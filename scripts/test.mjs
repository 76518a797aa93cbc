// `npm test`: everything CI runs. `npm test -- test/area/x.test.ts` runs only that file, without lint and format.
import { spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bootstrap, root } from './bootstrap.mjs';
import { needsCluster, needsStack, testFiles, testSource } from './test-files.mjs';

const minute = 60_000;
const counts = { tests: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 };
const failures = [];
/** In the environment of everything the run starts: what carries it afterwards was left behind. */
const marker = `SLIPWAY_TEST_RUN=${randomBytes(8).toString('hex')}`;
const began = Date.now();
let current = null;
let interrupted = null;
let cleaning = false;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => {
    interrupted ??= signal;
    // Cleaning up is not cut short, however impatient the user.
    if (current && !cleaning) void endGroup(current);
  });

await bootstrap();
// Everything of the run is in one folder; short names, because sockets' paths may have 108 bytes.
const folder = mkdtempSync(join(tmpdir(), 'slipway-test-'));
chmodSync(folder, 0o755);
const temporary = join(folder, 't');
mkdirSync(temporary);
const selected = process.argv.slice(2);
const files = testFiles(root, selected);
const { whyNoCluster } = await import('../dist/infra/local/cluster.js');
const noCluster = files.some(needsCluster) ? await whyNoCluster() : null;
const notRun = noCluster === null ? [] : files.filter(needsCluster);
const integration = files.filter((file) => needsStack(file) && !notRun.includes(file));
const unit = files.filter((file) => !needsStack(file));

if (selected.length === 0) {
  await step('lint', 'node_modules/.bin/oxlint', ['--type-aware', '--deny-warnings']);
  await step('format', 'node_modules/.bin/prettier', ['--check', '--log-level', 'warn', '.']);
  await step('tools', process.execPath, ['--enable-source-maps', 'dist/test/support/prepare-tools.js']);
}
await runTests('tests without a stack', unit, ['--test-concurrency=2', `--test-timeout=${10 * minute}`]);
if (integration.length > 0 && !interrupted) await withStack(integration);

const { processesWith } = await import('../dist/infra/local/leftovers.js');
const left = await processesWith(marker);
if (left.length > 0) failures.push(`no process may be left behind, but: ${left.join(', ')}`);
try {
  rmSync(folder, { recursive: true, force: true });
} catch (error) {
  failures.push(`removing the tests' files: ${error.message}`);
}

for (const file of notRun) console.log(`not run: ${testSource(root, file)}: ${noCluster}`);
for (const failure of failures) console.log(`failed: ${failure}`);
if (interrupted) console.log(`interrupted by ${interrupted}`);
for (const [name, count] of Object.entries(counts)) console.log(`# ${name} ${count}`);
console.log(`# duration_ms ${Date.now() - began}`);
process.exitCode = failures.length > 0 || interrupted || counts.fail > 0 ? 1 : 0;

/** Runs them in a stack of their own, which is gone afterwards whatever happens. */
async function withStack(files) {
  const home = join(folder, 'h');
  // Away from the ports of a stack that somebody uses, and from those that systems give to clients.
  const env = {
    SLIPWAY_HOME: home,
    SLIPWAY_STACK: '',
    // A cluster of the user's is not for tests.
    KUBECONFIG: '',
    SLIPWAY_PORT_BASE: String(randomInt(1000, 1900) * 10),
  };
  const slipway = ['--enable-source-maps', 'dist/cli/main.js'];
  const { findHome } = await import('../dist/infra/local/home.js');
  const { traces, leftovers } = await import('../dist/infra/local/leftovers.js');
  try {
    const up = files.some(needsCluster) ? ['up', '--kubernetes'] : ['up'];
    if (await step(`slipway ${up.join(' ')}`, process.execPath, [...slipway, ...up], env))
      await runTests(
        'tests with a stack',
        files,
        // One stack for all of them: a test may kill any part of it.
        ['--test-concurrency=1', `--test-timeout=${30 * minute}`],
        env,
      );
  } finally {
    const before = await traces(findHome(home));
    cleaning = true;
    await step('slipway down --purge', process.execPath, [...slipway, 'down', '--purge'], env);
    cleaning = false;
    const left = await leftovers(before);
    if (left.length > 0) failures.push(`nothing may be left behind, but: ${left.join(', ')}`);
  }
}

async function runTests(name, files, options, env = {}) {
  if (files.length === 0 || interrupted) return;
  const tap = join(folder, 'tap');
  const reporters = [
    ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
    ...['--test-reporter=tap', `--test-reporter-destination=${tap}`],
  ];
  await step(
    name,
    process.execPath,
    ['--enable-source-maps', '--test', ...options, ...reporters, ...files],
    env,
  );
  // Interrupted at once, the runner has written nothing.
  const report = existsSync(tap) ? readFileSync(tap, 'utf8') : '';
  for (const [, key, count] of report.matchAll(/^# (\w+) (\d+)$/gm))
    if (key in counts) counts[key] += Number(count);
}

/** Runs a command to its end; a failure is noted and the run goes on. */
async function step(name, command, args, env = {}) {
  if (interrupted && !cleaning) return false;
  console.log(`\n── ${name}`);
  const [key, value] = marker.split('=');
  // A group of its own, so that nothing it starts outlives an interruption.
  const child = spawn(command, args, {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: definedOnly({ ...process.env, TMPDIR: temporary, ...env, [key]: value }),
  });
  current = child;
  const problem = await new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(code === 0 ? null : `status ${code ?? signal}`));
  });
  current = null;
  if (problem) failures.push(`${name}: ${problem}`);
  return problem === null;
}

async function endGroup(child) {
  for (const [signal, wait] of [
    ['SIGTERM', 5_000],
    ['SIGKILL', 0],
  ]) {
    try {
      process.kill(-child.pid, signal);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
      return;
    }
    await sleep(wait);
  }
}

/** Empty means unset: a stack file named in the caller's environment is not the tests'. */
function definedOnly(env) {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== '' && value !== undefined));
}
