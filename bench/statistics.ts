/** Middle of sorted numbers, or between the middle two; `share` 0.5 is the median. */
export function quantile(values: number[], share: number): number {
  if (values.length === 0) throw new Error('no values');
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const [below, above] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!];
  return below + (above - below) * (place - Math.floor(place));
}

export type Summary = { median: number; min: number; max: number; quartiles: [number, number] };

export const summaryOf = (values: number[]): Summary => ({
  median: quantile(values, 0.5),
  min: Math.min(...values),
  max: Math.max(...values),
  quartiles: [quantile(values, 0.25), quantile(values, 0.75)],
});
