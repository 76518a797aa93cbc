/** What {@link firstDifference} answers when no part can be blamed. */
export const wholeValue = 'the whole';

/**
 * Where two JSON values first differ, as a path such as `[0].score`, or null when they agree. Numbers may differ by
 * `tolerance`, absolutely; 1 and 1.0 are the same number, NaN equals nothing. Arrays agree element by element,
 * objects key by key.
 */
export function firstDifference(
  expected: unknown,
  got: unknown,
  tolerance: number,
  path = '',
): string | null {
  const here = path === '' ? wholeValue : path;
  if (typeof expected === 'number' && typeof got === 'number')
    return isClose(expected, got, tolerance) ? null : here;
  if (Array.isArray(expected) && Array.isArray(got)) {
    if (expected.length !== got.length) return here;
    return firstOf(expected.map((item, at) => firstDifference(item, got[at], tolerance, `${path}[${at}]`)));
  }
  if (isObject(expected) && isObject(got)) {
    const keys = Object.keys(expected);
    if (keys.length !== Object.keys(got).length || keys.some((key) => !Object.hasOwn(got, key))) return here;
    return firstOf(
      keys.map((key) =>
        firstDifference(expected[key], got[key], tolerance, path === '' ? key : `${path}.${key}`),
      ),
    );
  }
  return expected === got ? null : here;
}

/**
 * How far apart two predictions are: the largest difference between two numbers at the same place. Infinity where they
 * differ in anything else: another shape, another text, no number.
 */
export function largestDifference(one: unknown, other: unknown): number {
  if (typeof one === 'number' && typeof other === 'number') {
    const difference = Math.abs(one - other);
    return Number.isNaN(difference) ? Infinity : difference;
  }
  if (Array.isArray(one) && Array.isArray(other))
    return one.length === other.length
      ? most(one.map((item, at) => largestDifference(item, other[at])))
      : Infinity;
  if (isObject(one) && isObject(other)) {
    const keys = Object.keys(one);
    if (keys.length !== Object.keys(other).length || keys.some((key) => !Object.hasOwn(other, key)))
      return Infinity;
    return most(keys.map((key) => largestDifference(one[key], other[key])));
  }
  return one === other ? 0 : Infinity;
}

const most = (differences: number[]): number =>
  differences.reduce((largest, difference) => Math.max(largest, difference), 0);

function isClose(expected: number, got: number, tolerance: number): boolean {
  if (tolerance === 0) return expected === got;
  // Room for the rounding of the subtraction itself: 0.7 is within 0.1 of 0.6.
  const rounding = Number.EPSILON * Math.max(1, Math.abs(expected), Math.abs(got));
  return Math.abs(expected - got) <= tolerance + rounding;
}

const firstOf = (differences: (string | null)[]): string | null =>
  differences.find((difference) => difference !== null) ?? null;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
