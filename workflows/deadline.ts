import { CancellationScope, CancelledFailure, isCancellation, sleep } from '@temporalio/workflow';
import { milliseconds } from '../contract/quantities.js';

/** Bounds a run, and can end it early; time on hold (paused, awaiting approval) does not count. */
export class Deadline {
  passed = false;
  private committed = false;
  private remaining: number;
  private startedAt = 0;
  private timer: CancellationScope | null = null;
  private readonly scope = new CancellationScope();

  constructor(duration: string) {
    this.remaining = milliseconds(duration);
  }

  /** Runs `work`; when time is up, cancels it and sets {@link passed}. Time counts from {@link begin}. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.scope.run(work);
    } finally {
      this.stop();
    }
  }

  begin(): void {
    this.hold(false);
  }

  /** Cancels the work. False when it is cancelled already, or {@link commit} has been passed. */
  cut(): boolean {
    if (this.committed || this.scope.consideredCancelled) return false;
    this.scope.cancel();
    return true;
  }

  /** The point of no return: throws when the work was told to end, and from then on it no longer can be. */
  commit(): void {
    if (this.scope.consideredCancelled) throw new CancelledFailure('cancelled at the last moment');
    this.committed = true;
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
