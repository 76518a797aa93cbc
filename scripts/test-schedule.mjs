// Runs test files side by side, the longest first, each where it has what it needs; what wants a quiet machine runs
// alone, at the end. Most files wait most of the time.
import { availableParallelism, cpus, totalmem } from 'node:os';
import { root } from './bootstrap.mjs';
import { expectedSeconds } from './test-durations.mjs';
import { isQuiet, needsOf, testSource } from './test-files.mjs';
import { NoStack, TestStack } from './test-places.mjs';
import { sharedServers } from './test-servers.mjs';

const gibibyte = 2 ** 30;
/** Below this share of idle processors, one file runs in each place: more would only wait for each other. */
const busy = 0.1;

export class Schedule {
  /** Seconds by test file. */
  durations = new Map();
  #run;
  #waiting;
  #free;
  #stacks;
  /** The shared servers that run, by name. */
  #servers = new Map();
  #hasTools = false;
  #timeout;
  #pending = 0;
  #settled;
  #processors = new Processors();

  /** `timeout`: seconds for one file, of which so many are expected. */
  constructor(run, files, { timeout }) {
    this.#run = run;
    this.#timeout = timeout;
    this.#waiting = files
      .map((file) => ({ file, source: testSource(root, file), needs: needsOf(file), quiet: isQuiet(file) }))
      .sort((one, other) => expectedSeconds(other.source) - expectedSeconds(one.source));
    const cores = availableParallelism();
    this.#free = new NoStack(files.length === 1 ? 1 : cores);
    this.#stacks = stacksFor(run, this.#waiting, cores);
  }

  /**
   * Runs everything. `tools` settles when the tools are there; `start` starts a shared server.
   * Every stack and server is gone afterwards, whatever happens.
   */
  async all({ tools, start }) {
    const alone = { most: 1 };
    try {
      await this.#phase('side by side', ({ quiet }) => !quiet, {
        begin: () => {
          this.#background(tools.then(() => (this.#hasTools = true)));
          for (const name of sharedServers)
            if (this.#wants((needs) => needs[name]))
              this.#background(tools.then(async () => this.#servers.set(name, await start(name))));
          for (const [index, stack] of this.#stacks.entries())
            this.#background(
              // Not beside the compilers that make the tools: what deploys would wait for them, and run out of time.
              tools.then(() => stack.up({ node: index === 0 && this.#wants(({ node }) => node) })),
            );
        },
      });
      // One stack is enough for what runs alone, and none disturbs what needs none.
      if (this.#waiting.length > 0) await this.#phaseOf('clean-up', () => this.#end(this.#stacks.slice(1)));
      await this.#phase('alone on a stack', ({ needs }) => needs.stack, alone);
      await this.#phaseOf('clean-up', () => this.#end(this.#stacks));
      await this.#phase('alone', () => true, alone);
      for (const { source } of this.#waiting) this.#run.failures.push(`${source}: not run`);
    } finally {
      await this.#end(this.#stacks);
      for (const server of this.#servers.values()) await server.stop();
    }
  }

  /** Ends stacks, and the servers that nothing waits for any more. */
  async #end(stacks) {
    const idle = [...this.#servers].filter(([name]) => !this.#wants((needs) => needs[name]));
    await Promise.all([
      ...stacks.map((stack) => this.#purge(stack)),
      ...idle.map(async ([name, server]) => {
        this.#servers.delete(name);
        await server.stop();
      }),
    ]);
  }

  /** Runs what is waiting and belongs to this phase, `most` files at once, as soon as there is a place for it. */
  async #phase(name, belongs, { begin = () => undefined, most = Infinity }) {
    await this.#phaseOf(name, async () => {
      begin();
      const step = () => {
        while (!this.#run.interrupted && this.#running() < most && this.#next(belongs)) continue;
      };
      const looks = setInterval(() => this.#settled?.(), 2_000);
      for (step(); this.#pending > 0; step()) await new Promise((resolve) => (this.#settled = resolve));
      clearInterval(looks);
    });
  }

  async #phaseOf(name, work) {
    const began = Date.now();
    await work();
    this.#run.phases.push([name, Date.now() - began]);
  }

  /** Starts one file where it can run now; answers whether there was one. */
  #next(belongs) {
    const open = this.#waiting.filter((entry) => belongs(entry));
    for (const place of [...this.#stacks, this.#free]) {
      const fits = open.filter(({ needs }) => place.takes(needs) && this.#isServed(needs));
      const [chosen] = preferred(place, fits, open);
      // One always runs in each; what was started last shows only after a while.
      if (!chosen || (place.running > 0 && this.#processors.idle() < busy)) continue;
      this.#waiting.splice(this.#waiting.indexOf(chosen), 1);
      this.#background(this.#test(place, chosen));
      return true;
    }
    this.#extend(open);
    return false;
  }

  /** Gives a stack that came up without one a cluster, once only that is missing. */
  #extend(open) {
    const [first, ...others] = this.#stacks;
    if (!first?.hasNode) return;
    for (const stack of others)
      if (
        stack.isUp &&
        !stack.hasNode &&
        !stack.taken &&
        stack.running === 0 &&
        open.some(({ needs }) => needs.node && needs.harm) &&
        !open.some(({ needs }) => needs.harm && !needs.node)
      )
        this.#background(stack.up({ node: true }));
  }

  async #test(place, { file, source, needs }) {
    place.running += 1;
    place.taken = needs.harm;
    const environment = Object.assign({}, ...[...this.#servers.values()].map((server) => server.environment));
    const began = Date.now();
    const timeout = Math.round(this.#timeout(expectedSeconds(source)) * 1000);
    await this.#run.tests(source, [file], [`--test-timeout=${timeout}`], {
      env: { ...environment, ...place.env },
    });
    this.durations.set(source, (Date.now() - began) / 1000);
    place.running -= 1;
    place.taken = false;
  }

  #isServed(needs) {
    return (
      (this.#hasTools || !needs.tools) &&
      sharedServers.every((name) => !needs[name] || this.#servers.has(name))
    );
  }

  #wants(needed) {
    return this.#waiting.some(({ needs }) => needed(needs));
  }

  #running() {
    return this.#free.running + this.#stacks.reduce((sum, { running }) => sum + running, 0);
  }

  async #purge(stack) {
    await stack.purge();
    this.#stacks.splice(this.#stacks.indexOf(stack), 1);
  }

  /** Goes on beside everything else; when it ends, others may begin. */
  #background(work) {
    this.#pending += 1;
    void Promise.resolve(work)
      .catch((error) => this.#run.failures.push(error.message))
      .then(() => {
        this.#pending -= 1;
        this.#settled?.();
      });
  }
}

/** How much the machine has to do. */
class Processors {
  #last = times();

  /** Share of the processors' time that nobody used since it was asked last; nothing within two seconds of that. */
  idle() {
    const now = times();
    const passed = now.all - this.#last.all;
    if (passed < 2_000 * cpus().length) return 0;
    const idle = (now.idle - this.#last.idle) / passed;
    this.#last = now;
    return idle;
  }
}

const times = () =>
  cpus().reduce(
    ({ all, idle }, { times: each }) => ({
      all: all + Object.values(each).reduce((sum, time) => sum + time, 0),
      idle: idle + each.idle,
    }),
    { all: 0, idle: 0 },
  );

/**
 * Of files that a place can take, in the order of preference. A stack that is kept for files that end parts of it takes others
 * only when none of those are left; the other way round, others come first.
 */
function preferred(place, fits, open) {
  if (place.prefersHarm === undefined) return fits;
  const harmful = ({ needs }) => needs.harm;
  const kept = place.prefersHarm ? harmful : (entry) => !harmful(entry);
  const left = open.filter(({ needs }) => needs.stack && kept({ needs }));
  // With a cluster to come it may yet take them.
  return left.length > 0 ? fits.filter(kept) : fits;
}

/** As many stacks as there is work for and the machine can carry. */
function stacksFor(run, files, cores) {
  const needing = files.filter(({ needs }) => needs.stack);
  if (needing.length === 0) return [];
  const harmful = needing.filter(({ needs }) => needs.harm).length;
  const both = harmful > 0 && needing.length > 1 && cores > 1 && totalmem() > 8 * gibibyte;
  const stack = (index, options) => new TestStack(run, index, options);
  return [
    stack(1, { capacity: needing.length === 1 ? 1 : cores + 2, prefersHarm: false }),
    ...(both ? [stack(2, { capacity: cores, prefersHarm: true })] : []),
  ];
}
