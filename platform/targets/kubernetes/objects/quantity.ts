const suffixes: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/**
 * A Kubernetes quantity such as `250m`, `1Gi` or `1e3` as a number.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 */
export function quantity(text: string | undefined): number {
  if (text === undefined) return 0;
  const match = /^([+-]?[\d.]+(?:[eE][+-]?\d+)?)([a-zA-Z]*)$/.exec(text);
  const unit = suffixes[match?.[2] ?? 'none'];
  if (!match || unit === undefined) throw new RangeError(`not a quantity: ${JSON.stringify(text)}`);
  return Number(match[1]) * unit;
}

/** Amounts by resource: `cpu`, `memory`, `pods`, `nvidia.com/gpu`. */
export type Amounts = Record<string, number>;

export const amounts = (quantities: Record<string, string> | undefined): Amounts =>
  Object.fromEntries(Object.entries(quantities ?? {}).map(([name, text]) => [name, quantity(text)]));

export const combine = (a: Amounts, b: Amounts, how: (x: number, y: number) => number): Amounts =>
  Object.fromEntries(
    [...new Set([...Object.keys(a), ...Object.keys(b)])].map((name) => [
      name,
      how(a[name] ?? 0, b[name] ?? 0),
    ]),
  );

export const plus = (a: Amounts, b: Amounts): Amounts => combine(a, b, (x, y) => x + y);
export const minus = (a: Amounts, b: Amounts): Amounts => combine(a, b, (x, y) => x - y);

/** As a cluster writes it, so that what it has is what was applied: no fraction, the largest unit that leaves none. */
export function canonical(text: string): string {
  const [value, binary] = [quantity(text), /[KMGTPE]i$/.test(text)];
  if (!Number.isInteger(value)) return `${Math.ceil(value * 1000)}m`;
  const units = binary ? ['Ei', 'Pi', 'Ti', 'Gi', 'Mi', 'Ki'] : ['E', 'P', 'T', 'G', 'M', 'k'];
  const unit = value === 0 ? '' : (units.find((one) => value % suffixes[one]! === 0) ?? '');
  return `${value / suffixes[unit]!}${unit}`;
}
