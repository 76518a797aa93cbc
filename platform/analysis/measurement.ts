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

/** Judges a value against its bounds; what is no number is missing. */
export function within(
  check: string,
  value: number,
  { min, max }: { min?: number | undefined; max?: number | undefined },
): Measurement {
  const wanted = [
    ...(min === undefined ? [] : [`at least ${min}`]),
    ...(max === undefined ? [] : [`at most ${max}`]),
  ].join(' and ');
  if (!Number.isFinite(value))
    return { check, wanted, verdict: 'missing', why: `${value} is no measurement` };
  const held = (min === undefined || value >= min) && (max === undefined || value <= max);
  return { check, wanted, verdict: held ? 'held' : 'failed', measured: String(value) };
}
