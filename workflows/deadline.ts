import { CancellationScope, isCancellation, sleep } from '@temporalio/workflow';
import { milliseconds } from '../contract/quantities.js';

/** Bounds a run; time on hold (paused, awaiting approval) does not count. */
export class Deadline {
  passed = false;
  private remaining: number;
  private startedAt = 0;
  private timer: CancellationScope | null = null;
  private readonly scope = new CancellationScope();

  constructor(duration: string) {
    this.remaining = milliseconds(duration);
  }

  /** Runs `work`; when time is up, cancels it and sets {@link passed}. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.start();
    try {
      return await this.scope.run(work);
    } finally {
      this.stop();
    }
  }

  hold(held: boolean): void {
    if (held) this.stop();
    else if (this.timer === null) this.start();
  }

  private start(): void {
    this.startedAt = Date.now();
    this.timer = new CancellationScope();
    void this.timer.run(() => this.wait());
  }

  private stop(): void {
    if (this.timer === null) return;
    this.remaining = Math.max(0, this.remaining - (Date.now() - this.startedAt));
    this.timer.cancel();
    this.timer = null;
  }

  private async wait(): Promise<void> {
    try {
      await sleep(Math.max(1, this.remaining));
      this.passed = true;
      this.scope.cancel();
    } catch (error) {
      if (!isCancellation(error)) throw error;
    }
  }
}
