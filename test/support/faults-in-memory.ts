import { ApplicationFailure, Context } from '@temporalio/activity';
import { attend } from '../../activities/attend.js';
import type { Activities } from '../../activities/index.js';

export type ActivityName = keyof Activities;
type Moment = 'before' | 'after';
type Order = { hold?: { at: Moment; gate: Gate }; fail?: { at: Moment; error: Error; times: number } };

/** What goes wrong in the activities of one workflow. */
export class Faults {
  /** Activities whose first reply was lost. */
  readonly lost = new Set<ActivityName>();
  private readonly orders = new Map<ActivityName, Order>();
  private losing = false;

  /** Makes an activity fail, before it acts or (the default) once it has. */
  fail(activity: ActivityName, error: Error, at: Moment = 'after', times = Infinity): void {
    this.order(activity).fail = { at, error, times };
  }

  /** Holds an activity, before it acts or (the default) once it has, until the gate is opened or it is cancelled. */
  hold(activity: ActivityName, at: Moment = 'after', gate = new Gate()): Gate {
    this.order(activity).hold = { at, gate };
    return gate;
  }

  /** Act, then lose: every activity runs whole, and its first reply is lost. */
  loseFirstReplies(): void {
    this.losing = true;
  }

  /** Called by the activities: where what was ordered comes about. */
  async strike(activity: ActivityName, moment: Moment): Promise<void> {
    const { hold, fail } = this.order(activity);
    if (hold?.at === moment) await hold.gate.pass();
    if (fail?.at !== moment || fail.times === 0) return;
    fail.times -= 1;
    if (fail.error instanceof ApplicationFailure) throw fail.error;
    await attend(() => Promise.reject(fail.error));
  }

  losesReply(activity: ActivityName): boolean {
    const loses = this.losing && Context.current().info.attempt === 1;
    if (loses) this.lost.add(activity);
    return loses;
  }

  private order(activity: ActivityName): Order {
    const order = this.orders.get(activity) ?? {};
    this.orders.set(activity, order);
    return order;
  }
}

/** A place where an activity is held. */
export class Gate {
  /** Fulfilled once an activity stands here. */
  readonly reached: Promise<void>;
  private readonly opened: Promise<void>;
  private arrive!: () => void;
  private letGo!: () => void;

  /** `deaf`: what stands here neither heartbeats nor hears of its cancellation, like a worker cut off. */
  constructor(private readonly deaf = false) {
    this.reached = new Promise((resolve) => (this.arrive = resolve));
    this.opened = new Promise((resolve) => (this.letGo = resolve));
  }

  open(): void {
    this.letGo();
  }

  async pass(): Promise<void> {
    this.arrive();
    if (this.deaf) return await this.opened;
    await attend(() => this.passHearing());
  }

  private async passHearing(): Promise<void> {
    const context = Context.current();
    const beat = setInterval(() => context.heartbeat(), 50);
    try {
      await Promise.race([this.opened, context.cancelled]);
    } finally {
      clearInterval(beat);
    }
  }
}
