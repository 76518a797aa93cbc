import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { SoakOrder } from '../support/soak.js';
import { servers } from '../support/stages.js';

describe('the order that a soak is run in', () => {
  const before = process.env['SLIPWAY_SOAK_SEED'];
  afterEach(() => {
    if (before === undefined) delete process.env['SLIPWAY_SOAK_SEED'];
    else process.env['SLIPWAY_SOAK_SEED'] = before;
  });

  const drawn = (seed: number): string[][] => {
    process.env['SLIPWAY_SOAK_SEED'] = String(seed);
    const order = SoakOrder.draw();
    return Array.from({ length: 10 }, () => order.of(servers));
  };

  test('is the same for the same seed, and another for another', () => {
    assert.deepEqual(drawn(7), drawn(7));
    assert.notDeepEqual(drawn(7), drawn(8));
  });

  test('leaves nothing out and repeats nothing', () => {
    for (const order of drawn(7)) assert.deepEqual([...order].sort(), [...servers].sort());
  });
});
