import { randomInt } from 'node:crypto';

/**
 * In what order a soak goes through its cases: another one each time, from a seed that is printed. `SLIPWAY_SOAK_SEED`
 * repeats a run.
 */
export class SoakOrder {
  private constructor(private state: number) {}

  /** Prints its seed. */
  static draw(): SoakOrder {
    const seed = Number(process.env['SLIPWAY_SOAK_SEED'] ?? randomInt(2 ** 31));
    console.log(`to repeat this order: SLIPWAY_SOAK_SEED=${seed}`);
    return new SoakOrder(seed);
  }

  /** The same items in an order that is drawn (Fisher and Yates). */
  of<T>(items: readonly T[]): T[] {
    const left = [...items];
    const drawn: T[] = [];
    while (left.length > 0) drawn.push(...left.splice(Math.floor(this.next() * left.length), 1));
    return drawn;
  }

  /** From 0 to 1: mulberry32. */
  private next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
