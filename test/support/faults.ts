import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { withoutHolds, type ActivityName, type Faults, type Step } from './faulty-activities.js';

export type { ActivityName, Faults, Step };

/** An activity that is held, and the run of the workflow that it belongs to. */
export type Held = { activity: string; run: string };

/**
 * A real worker process in which faults can be made, to be killed with `kill -9`; it takes the place of the installation's
 * own.
 */
export class FaultWorker {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    private faults: Faults,
  ) {}

  /** `temporal`, `registry`: where to reach these when not where the stack has them: what can be cut or held is there. */
  static async start(
    faults: Faults = {},
    { temporal, registry }: { temporal?: string; registry?: string } = {},
  ): Promise<FaultWorker> {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-faults-'));
    await writeFile(join(folder, 'faults.json'), JSON.stringify(faults));
    const log = await open(join(folder, 'worker.log'), 'a');
    const entry = fileURLToPath(new URL('./fault-worker.js', import.meta.url));
    const child = spawn(process.execPath, ['--enable-source-maps', entry], {
      env: {
        ...process.env,
        SLIPWAY_FAULTS_DIR: folder,
        ...(temporal !== undefined && { SLIPWAY_FAULTS_TEMPORAL: temporal }),
        ...(registry !== undefined && { SLIPWAY_FAULTS_REGISTRY: registry }),
      },
      stdio: ['ignore', log.fd, log.fd],
    });
    await log.close();
    const worker = new FaultWorker(child, folder, faults);
    await worker.until(() => existsSync(join(folder, 'ready')), 300_000, 'the worker polls');
    return worker;
  }

  /** Other faults from now on. What is held stays so. */
  async change(faults: Faults): Promise<void> {
    this.faults = faults;
    const next = join(this.folder, 'faults.next');
    await writeFile(next, JSON.stringify(faults));
    await rename(next, join(this.folder, 'faults.json'));
  }

  /** Waits until the named activity is held; `run`: of this run of a workflow. */
  async held(name: ActivityName, run?: string): Promise<void> {
    await this.until(() => this.reports(name, run).length > 0, 300_000, `${name} is held`);
  }

  /** Lets one activity go on, or everything that is held; from now on it is not held any more. */
  async release(name?: ActivityName): Promise<void> {
    await this.change(withoutHolds(this.faults, name));
    await this.pass(name);
  }

  /** Lets one activity go on, or everything that is held; what comes of its kind is held again. Answers what it let go. */
  async pass(name?: ActivityName): Promise<Held[]> {
    const reports = this.reports(name);
    for (const report of reports) await rm(join(this.folder, report), { force: true });
    return reports.map((report) => {
      const [, activity, run] = /^held-(\w+)-(.+)-[^-]+$/.exec(report)!;
      return { activity: activity!, run: run! };
    });
  }

  /** Activities whose first reply was lost. */
  async lost(): Promise<string[]> {
    return [...new Set(await this.lines('lost'))];
  }

  /** Attempts that have thrown something: `shift: Conflict: …`. */
  failed(): Promise<string[]> {
    return this.lines('failed');
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

  private async lines(name: string): Promise<string[]> {
    const file = join(this.folder, name);
    return existsSync(file) ? (await readFile(file, 'utf8')).trim().split('\n') : [];
  }

  /** What is held. */
  private reports(name?: ActivityName, run = ''): string[] {
    const prefix = name ? `held-${name}-${run}` : 'held-';
    return readdirSync(this.folder).filter((file) => file.startsWith(prefix));
  }

  private async until(done: () => boolean, budget: number, what: string): Promise<void> {
    for (const end = Date.now() + budget; !done(); await delay(50)) {
      if (this.child.exitCode !== null || Date.now() > end)
        throw new Error(`waiting until ${what}: ${await readFile(join(this.folder, 'worker.log'), 'utf8')}`);
    }
  }
}
