import { randomInt } from 'node:crypto';

/**
 * Divides requests between the live release and one on its way, evenly and not by chance: of any hundred in a row it
 * gets exactly as many as its weight says. Where it begins is random, or few requests at many gateways would all go
 * to the live one.
 */
export class Division {
  private carried = randomInt(100);

  /** Whether the next request is for the release on its way, which gets `weight` percent. */
  next(weight: number): boolean {
    this.carried += weight;
    if (this.carried < 100) return false;
    this.carried -= 100;
    return true;
  }
}
