/** What came of one check at one time. What is missing is not held. */
export type Measurement = { check: string; wanted: string } & (
  { verdict: 'held' | 'failed'; measured: string } | { verdict: 'missing'; why: string }
);

/** `99.2 %`; no rounding up to what was wanted. */
export const percent = (share: number): string => `${Math.floor(share * 1_000) / 10} %`;

/** `12 ms`, `1.2 s`. */
export function duration(ms: number): string {
  if (ms === Infinity) return 'more than 68 s';
  return ms < 1_000 ? `${Number(ms.toPrecision(2))} ms` : `${Number((ms / 1_000).toPrecision(3))} s`;
}

type Bounds = { min?: number | undefined; max?: number | undefined };

/** `at least 1 and at most 2`. */
export const wantedOf = ({ min, max }: Bounds): string =>
  [...(min === undefined ? [] : [`at least ${min}`]), ...(max === undefined ? [] : [`at most ${max}`])].join(
    ' and ',
  );

/** Judges a value against its bounds. */
export function within(check: string, value: number, bounds: Bounds): Measurement {
  const { min = -Infinity, max = Infinity } = bounds;
  const verdict = value >= min && value <= max ? 'held' : 'failed';
  return { check, wanted: wantedOf(bounds), verdict, measured: String(value) };
}
