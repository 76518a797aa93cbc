import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Activities } from '../../activities/index.js';

export type ActivityName = keyof Activities;
export type Faults = {
  /** Holds the first attempt of these before it does anything. */
  holdBefore?: readonly ActivityName[];
  /** Holds the first attempt of these after its effect, before its reply. */
  holdAfter?: readonly ActivityName[];
  /** Runs the first attempt whole, then loses its reply: act, then lose. */
  loseFirstReply?: ActivityName | 'all';
};

/** A real worker process in which faults can be made; it takes the place of the stack's own. */
export class FaultWorker {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
  ) {}

  static async start(faults: Faults = {}): Promise<FaultWorker> {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-faults-'));
    const log = await open(join(folder, 'worker.log'), 'a');
    const entry = fileURLToPath(new URL('./fault-worker.js', import.meta.url));
    const child = spawn(process.execPath, ['--enable-source-maps', entry], {
      env: { ...process.env, SLIPWAY_FAULTS: JSON.stringify(faults), SLIPWAY_FAULTS_DIR: folder },
      stdio: ['ignore', log.fd, log.fd],
    });
    await log.close();
    const worker = new FaultWorker(child, folder);
    await worker.until(() => existsSync(join(folder, 'ready')), 60_000, 'the worker polls');
    return worker;
  }

  /** Waits until the named activity is held. */
  async held(name: ActivityName, budget = 120_000): Promise<void> {
    await this.until(() => existsSync(join(this.folder, `held-${name}`)), budget, `${name} is held`);
  }

  /** Lets one activity go on, or everything that is or will be held. */
  async release(name?: ActivityName): Promise<void> {
    await writeFile(join(this.folder, name ? `go-${name}` : 'go'), '');
  }

  /** Activities whose first reply was lost. */
  async lost(): Promise<string[]> {
    const file = join(this.folder, 'lost');
    return existsSync(file) ? [...new Set((await readFile(file, 'utf8')).trim().split('\n'))] : [];
  }

  /** Stops the process where it is (SIGSTOP): to others it is dead. */
  freeze(): void {
    this.child.kill('SIGSTOP');
  }

  /** Lets a frozen process go on. */
  thaw(): void {
    this.child.kill('SIGCONT');
  }

  /** `kill -9`, or a polite end. Waits until the process is gone. */
  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const gone = once(this.child, 'exit');
      this.child.kill(signal);
      await gone;
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  private async until(done: () => boolean, budget: number, what: string): Promise<void> {
    for (const end = Date.now() + budget; !done(); await delay(50)) {
      if (this.child.exitCode !== null || Date.now() > end)
        throw new Error(`waiting until ${what}: ${await readFile(join(this.folder, 'worker.log'), 'utf8')}`);
    }
  }
}
