import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonical, quantity } from '../../platform/targets/kubernetes/objects/quantity.js';

test('quantities are numbers, and are written as a cluster writes them', () => {
  const cases: [text: string, value: number, canonical: string][] = [
    ['0.05', 0.05, '50m'],
    ['1', 1, '1'],
    ['2000', 2000, '2k'],
    ['1.5', 1.5, '1500m'],
    ['250m', 0.25, '250m'],
    ['512Mi', 512 * 2 ** 20, '512Mi'],
    ['0.5Gi', 512 * 2 ** 20, '512Mi'],
    ['1024Mi', 2 ** 30, '1Gi'],
    ['1000Mi', 1000 * 2 ** 20, '1000Mi'],
    ['1G', 1e9, '1G'],
    ['1e3', 1e3, '1k'],
    ['0', 0, '0'],
  ];
  for (const [text, value, written] of cases) {
    assert.equal(quantity(text), value);
    assert.equal(canonical(text), written);
  }
  assert.throws(() => quantity('1Xi'), /not a quantity: "1Xi"/);
});
