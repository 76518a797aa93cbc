import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { firstDifference, largestDifference } from '../../platform/verify/compare.js';

describe('a prediction agrees with what is expected', () => {
  const cases: [
    name: string,
    expected: unknown,
    got: unknown,
    tolerance: number,
    difference: string | null,
  ][] = [
    ['equal numbers', 1, 1, 0, null],
    ['1 and 1.0', 1, 1.0, 0, null],
    ['0 and -0', 0, -0, 0, null],
    ['the smallest difference', 1, 1 + Number.EPSILON, 0, 'the whole'],
    ['a difference within the tolerance', [0.5], [0.55], 0.1, null],
    ['a difference of just the tolerance', [0.6], [0.7], 0.1, null],
    ['a difference beyond the tolerance', [0.6], [0.71], 0.1, '[0]'],
    ['NaN never', NaN, NaN, 1, 'the whole'],
    ['nested arrays', [[1, 2], [3]], [[1, 2], [3]], 0, null],
    ['a difference deep inside', [[1, 2], [3]], [[1, 2], [4]], 0, '[1][0]'],
    ['a longer array', [1], [1, 2], 0, 'the whole'],
    ['a shorter array', [[1, 2]], [[1]], 0, '[0]'],
    ['objects in any order of keys', { a: 1, b: [2] }, { b: [2], a: 1 }, 0, null],
    ['numbers in objects, with tolerance', { score: 0.9 }, { score: 0.91 }, 0.05, null],
    ['an object that differs', { a: { b: 1 } }, { a: { b: 2 } }, 0, 'a.b'],
    ['a missing key', { a: 1, b: 2 }, { a: 1, c: 2 }, 0, 'the whole'],
    ['one key more', { a: 1 }, { a: 1, b: 2 }, 0, 'the whole'],
    ['strings', 'setosa', 'setosa', 0, null],
    ['other strings', ['setosa'], ['virginica'], 5, '[0]'],
    ['a number and its text', [1], ['1'], 0, '[0]'],
    ['false and 0', false, 0, 1, 'the whole'],
    ['null', null, null, 0, null],
    ['null and an object', null, {}, 0, 'the whole'],
    ['an array and an object', [], {}, 0, 'the whole'],
  ];
  for (const [name, expected, got, tolerance, difference] of cases)
    test(`${name}: ${difference === null ? 'yes' : 'no'}`, () => {
      assert.equal(firstDifference(expected, got, tolerance), difference);
    });
});

describe('how far apart two predictions are', () => {
  for (const [what, one, other, difference] of [
    ['the same', { a: [1, 'x', null] }, { a: [1, 'x', null] }, 0],
    ['two numbers', 0.25, 1, 0.75],
    [
      'the largest of several',
      [
        [1, 2],
        [3, 4],
      ],
      [
        [1.5, 2],
        [3, 2],
      ],
      2,
    ],
    ['in a member', { score: 0.5, label: 'a' }, { score: 0.25, label: 'a' }, 0.25],
    ['another label', { score: 0.5, label: 'a' }, { score: 0.5, label: 'b' }, Infinity],
    ['another length', [1], [1, 2], Infinity],
    ['another member', { a: 1 }, { b: 1 }, Infinity],
    ['another kind', '1', 1, Infinity],
    ['no number', NaN, 1, Infinity],
  ] as const)
    test(what, () => {
      assert.equal(largestDifference(one, other), difference);
      assert.equal(largestDifference(other, one), difference);
    });
});
