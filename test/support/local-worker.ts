import { setTimeout as delay } from 'node:timers/promises';
import type { Stack } from '../../contract/stack.js';
import { loadStack } from '../../platform/stack.js';
import { startWorker, type RunningWorker } from '../../workers/run.js';
import { faulty, withoutHolds, type ActivityName, type FaultDesk, type Faults } from './faulty-activities.js';

/**
 * A real worker in the test's own process, in which faults can be made. Where it has to be killed, a `FaultWorker` is a
 * process of its own.
 */
export class LocalWorker {
  private readonly holding = new Map<string, ActivityName>();
  private readonly replies = new Set<string>();
  private readonly failures: string[] = [];

  private constructor(private faults: Faults) {}

  private running!: RunningWorker;

  /**
   * `temporal`, `registry`: where to reach these when not where the stack has them: what can be cut or held is there. `of`: the
   * stack, when it is not the one that this process has.
   */
  static async start(
    faults: Faults = {},
    { temporal, registry, of }: { temporal?: string; registry?: string; of?: Stack } = {},
  ): Promise<LocalWorker> {
    // Only where a worker runs: with nothing to run, it would keep the process from ending.
    await import('./quiet-temporal.js');
    const worker = new LocalWorker(faults);
    const stack = of ?? (await loadStack());
    worker.running = await startWorker(
      {
        ...stack,
        temporal: { ...stack.temporal, ...(temporal !== undefined && { address: temporal }) },
        registry: { ...stack.registry, ...(registry !== undefined && { url: registry }) },
      },
      { wrap: (activities) => faulty(worker.desk(), activities) },
    );
    return worker;
  }

  /** Other faults from now on. What is held stays so. */
  async change(faults: Faults): Promise<void> {
    this.faults = faults;
  }

  /** Waits until the named activity is held. */
  async held(name: ActivityName, budget = 300_000): Promise<void> {
    for (const end = Date.now() + budget; this.reports(name).length === 0; await delay(20))
      if (Date.now() > end)
        throw new Error(`${name} is not held; what failed: ${this.failures.join('\n') || 'nothing'}`);
  }

  /** Lets one activity go on, or everything that is held; from now on it is not held any more. */
  async release(name?: ActivityName): Promise<void> {
    this.faults = withoutHolds(this.faults, name);
    await this.pass(name);
  }

  /** Lets one activity go on, or everything that is held; what comes of its kind is held again. */
  async pass(name?: ActivityName): Promise<void> {
    for (const key of this.reports(name)) this.holding.delete(key);
  }

  /** Activities whose first reply was lost. */
  async lost(): Promise<string[]> {
    return [...this.replies];
  }

  /** Attempts that have thrown something: `shift: Conflict: …`. */
  async failed(): Promise<string[]> {
    return [...this.failures];
  }

  /** Lets go of everything and waits for its end. */
  async end(): Promise<void> {
    this.holding.clear();
    await this.running.stop();
  }

  private desk(): FaultDesk {
    return {
      faults: () => this.faults,
      hold: async (name, key, cancelled, heartbeat) => {
        const report = `${name} ${key}`;
        this.holding.set(report, name as ActivityName);
        while (this.holding.has(report)) {
          heartbeat();
          await Promise.race([delay(50), cancelled]);
        }
      },
      lost: (name) => void this.replies.add(name),
      failed: (line) => void this.failures.push(line),
    };
  }

  private reports(name?: ActivityName): string[] {
    return [...this.holding].filter(([, held]) => !name || held === name).map(([key]) => key);
  }
}
