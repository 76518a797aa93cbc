import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';
import { messageOf } from '../../contract/errors.js';

/**
 * Requests a second that go beside what a test does: few, because others run on the same machine. The long run has it all
 * again with a hundred.
 */
export const usualRate = Number(process.env['SLIPWAY_TEST_RATE'] ?? 20);

/** Requests sent at a steady rate until stopped, 64 at once at most. */
export class Traffic {
  readonly failures: string[] = [];
  readonly answers = new Map<string, number>();
  sent = 0;
  private running = true;
  /** Where the machine was too busy to send any, all that are due go out at once: no server's queue holds them. */
  private readonly limit = pLimit(64);
  private readonly flight = new Set<Promise<void>>();
  private readonly loop: Promise<void>;

  /** `send` makes one request and answers what is counted; what it throws counts as a failure. */
  constructor(
    private readonly send: () => Promise<string>,
    private readonly perSecond: number,
  ) {
    this.loop = this.run();
  }

  /** Requests from the beginning of `act` until its end, whatever that is; answers them when the last one is done. */
  static async during(
    send: () => Promise<string>,
    perSecond: number,
    act: (traffic: Traffic) => Promise<unknown>,
  ): Promise<Traffic> {
    const traffic = new Traffic(send, perSecond);
    try {
      await act(traffic);
    } finally {
      await traffic.stop();
    }
    return traffic;
  }

  /** Requests that were answered, or failed. */
  get ended(): number {
    return [...this.answers.values()].reduce((sum, count) => sum + count, this.failures.length);
  }

  /** Ends the requests; waits for those in flight. */
  async stop(): Promise<void> {
    this.running = false;
    await this.loop;
    await Promise.all(this.flight);
  }

  private async run(): Promise<void> {
    const start = performance.now();
    while (this.running) {
      const due = Math.floor(((performance.now() - start) / 1000) * this.perSecond);
      while (this.sent < due) this.one();
      await delay(5);
    }
  }

  private one(): void {
    this.sent += 1;
    const request = this.limit(this.send).then(
      (answer) => void this.answers.set(answer, (this.answers.get(answer) ?? 0) + 1),
      (error: unknown) => void this.failures.push(messageOf(error)),
    );
    this.flight.add(request);
    void request.finally(() => this.flight.delete(request));
  }
}
