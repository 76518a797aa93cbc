// The commands of one test run: what they print, what came of them, and what must not outlive them.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from './bootstrap.mjs';

const reporter = join(root, 'scripts', 'test-reporter.mjs');

export class TestRun {
  counts = { tests: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 };
  failures = [];
  /** Name and milliseconds of each. */
  phases = [];
  /** The signal that ended the run, if one did. */
  interrupted = null;
  /** Everything of the run is in it; a short name, because sockets' paths may have 108 bytes. */
  folder = mkdtempSync(join(tmpdir(), 'slipway-test-'));
  /** In the environment of everything the run starts: what carries it afterwards was left behind. */
  marker = `SLIPWAY_TEST_RUN=${randomBytes(8).toString('hex')}`;
  #temporary = join(this.folder, 't');
  #running = new Set();
  #reports = 0;
  #sideBySide;

  /** `sideBySide`: several commands will run at once. */
  constructor({ sideBySide }) {
    this.#sideBySide = sideBySide;
    chmodSync(this.folder, 0o755);
    mkdirSync(this.#temporary);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
      process.on(signal, () => {
        this.interrupted ??= signal;
        for (const child of this.#running) void endGroup(child);
      });
  }

  /**
   * Runs a command to its end; answers whether it succeeded. A failure is noted and the run goes on.
   * `cleaning`: also after an interruption, and not cut short by one. `whole`: what it prints is shown when it has ended,
   * in one piece, so that commands side by side do not mix.
   */
  async step(name, command, args, { env = {}, cleaning = false, whole = false } = {}) {
    if (this.interrupted && !cleaning) return false;
    if (!whole) console.log(`\n── ${name}`);
    const began = Date.now();
    // A group of its own, so that nothing it starts outlives an interruption.
    const child = spawn(command, args, {
      cwd: root,
      detached: true,
      stdio: whole ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
      env: this.environment(env),
    });
    const printed = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => printed.push(data));
    if (!cleaning) this.#running.add(child);
    const problem = await new Promise((resolve) => {
      child.on('error', (error) => resolve(error.message));
      child.on('close', (code, signal) => resolve(code === 0 ? null : `status ${code ?? signal}`));
    });
    this.#running.delete(child);
    if (whole)
      console.log(`\n── ${name}, ${Math.round((Date.now() - began) / 1000)} s\n${Buffer.concat(printed)}`);
    if (problem) this.failures.push(`${name}: ${problem}`);
    return problem === null;
  }

  /** Of everything that the run starts. */
  environment(env = {}) {
    const [key, value] = this.marker.split('=');
    return definedOnly({ ...process.env, TMPDIR: this.#temporary, ...env, [key]: value });
  }

  /** Runs test files and counts their tests. `options` are those of `node --test`. */
  async tests(name, files, options, how = {}) {
    if (files.length === 0 || this.interrupted) return;
    const report = join(this.folder, `report-${(this.#reports += 1)}`);
    const reporters = [
      ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
      ...[`--test-reporter=${reporter}`, `--test-reporter-destination=${report}`],
    ];
    const args = ['--enable-source-maps', '--test', ...options, ...reporters, ...files];
    await this.step(name, process.execPath, args, { ...how, whole: this.#sideBySide });
    // Interrupted at once, the runner has written nothing.
    const lines = existsSync(report) ? readFileSync(report, 'utf8').split('\n') : [];
    // What was cut off in the middle of a line is of a run that was ended.
    for (const { failure, ...counts } of lines.slice(0, -1).map((line) => JSON.parse(line))) {
      if (failure) this.failures.push(failure);
      for (const [key, count] of Object.entries(counts)) if (key in this.counts) this.counts[key] += count;
    }
  }

  removeFolder() {
    try {
      rmSync(this.folder, { recursive: true, force: true });
    } catch (error) {
      this.failures.push(`removing the tests' files: ${error.message}`);
    }
  }
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
