// Where test files run: without a stack, or on one of the run's stacks. A file that harms nothing shares a stack with
// others; one that ends parts of it has it to itself.
import { randomInt } from 'node:crypto';
import { join } from 'node:path';

const slipway = ['--enable-source-maps', 'dist/cli/main.js'];
// From 10100: fetch refuses 10080.
const firstPort = randomInt(1010, 1800) * 10;

/** For files that need no stack. */
export class NoStack {
  name = 'without a stack';
  env = { SLIPWAY_STACK: '', KUBECONFIG: '' };
  running = 0;

  constructor(capacity) {
    this.capacity = capacity;
  }

  /** Can it take this file now? */
  takes({ stack }) {
    return !stack && this.running < this.capacity;
  }
}

/** A stack in a folder of the run, which comes up without a cluster and may get one. */
export class TestStack {
  running = 0;
  /** A file that may end parts of it runs. */
  taken = false;
  isUp = false;
  hasNode = false;
  #run;

  constructor(run, index, { capacity, prefersHarm }) {
    this.#run = run;
    this.name = `stack ${index}`;
    this.capacity = capacity;
    this.prefersHarm = prefersHarm;
    this.home = join(run.folder, `h${index}`);
    this.env = {
      SLIPWAY_HOME: this.home,
      SLIPWAY_STACK: '',
      // A cluster of the user's is not for tests.
      KUBECONFIG: '',
      // Away from the ports of a stack that somebody uses, and from those that systems give to clients.
      SLIPWAY_PORT_BASE: String(firstPort + index * 300),
    };
  }

  /** Starts it, or gives it a cluster; answers whether that worked. */
  async up({ node }) {
    this.taken = true;
    const options = node ? ['up', '--kubernetes'] : ['up'];
    const done = await this.#run.step(
      `${this.name}: slipway ${options.join(' ')}`,
      process.execPath,
      [...slipway, ...options],
      { env: this.env, whole: true },
    );
    this.taken = false;
    this.isUp ||= done;
    this.hasNode ||= done && node;
    return done;
  }

  takes({ stack, node, harm }) {
    if (!stack || !this.isUp || this.taken || (node && !this.hasNode)) return false;
    return harm ? this.running === 0 : this.running < this.capacity;
  }

  /** Ends it; whatever of it is there afterwards is a failure. */
  async purge() {
    const { findHome } = await import('../dist/infra/local/home.js');
    const { traces, leftovers } = await import('../dist/infra/local/leftovers.js');
    this.isUp = false;
    const before = await traces(findHome(this.home));
    await this.#run.step(
      `${this.name}: slipway down --purge`,
      process.execPath,
      [...slipway, 'down', '--purge'],
      { env: this.env, cleaning: true, whole: true },
    );
    const left = await leftovers(before);
    if (left.length > 0) this.#run.failures.push(`nothing may be left behind, but: ${left.join(', ')}`);
  }
}
