import { z } from 'zod';

const durationUnits: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const byteUnits: Record<string, number> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** A duration such as `500ms`, `30s`, `5m`, `24h` or `7d`. */
export const Duration = z
  .string()
  .regex(/^\d+(?:\.\d+)?(?:ms|s|m|h|d)$/, 'must be a duration such as "500ms", "30s", "5m" or "24h"');

/** Milliseconds of a {@link Duration}. */
export function milliseconds(duration: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration);
  if (!match) throw new RangeError(`not a duration: ${JSON.stringify(duration)}`);
  return Math.round(Number(match[1]) * (durationUnits[match[2] ?? ''] ?? NaN));
}

/** A size such as `512Mi`, `1Gi` or `2G`; Kubernetes' quantity suffixes. */
export const Quantity = z
  .string()
  .regex(/^\d+(?:\.\d+)?(?:[kMGT]|[KMGT]i)?$/, 'must be a size such as "512Mi" or "1Gi"');

/** Bytes of a {@link Quantity}. */
export function bytes(quantity: string): number {
  const match = /^(\d+(?:\.\d+)?)([kMGT]|[KMGT]i)?$/.exec(quantity);
  if (!match) throw new RangeError(`not a size: ${JSON.stringify(quantity)}`);
  return Math.round(Number(match[1]) * (byteUnits[match[2] ?? ''] ?? NaN));
}

/** `1.5 MB`; decimal units, as registries and disks are sold by. */
export function humanBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
