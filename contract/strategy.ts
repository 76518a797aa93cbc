import { z } from 'zod';
import { Duration } from './quantities.js';

/** A number of replicas, or a share of them such as `25%`. */
export const Share = z.union([
  z.number().int().nonnegative(),
  z.string().regex(/^(?:100|[1-9]?\d)%$/, 'must be a number of replicas or a share such as "25%"'),
]);
export type Share = z.infer<typeof Share>;

/** Replicas that a share is of `total`: a surge is rounded up, what may be away is rounded down. */
export function replicasOf(share: Share, total: number, round: 'up' | 'down'): number {
  if (typeof share === 'number') return share;
  const exact = (Number(share.slice(0, -1)) * total) / 100;
  return round === 'up' ? Math.ceil(exact) : Math.floor(exact);
}

/** One step of a canary: this much of the traffic, for a time or until somebody resumes; judged at its end. */
export const CanaryStep = z
  .strictObject({
    /** Percent of requests that the new release answers. */
    weight: z.number().int().min(1).max(100),
    for: Duration.optional(),
    pause: z.literal(true).optional(),
  })
  .refine((step) => (step.for === undefined) !== (step.pause === undefined), {
    message: 'must have either "for" (a duration) or "pause" (true)',
  });
export type CanaryStep = z.infer<typeof CanaryStep>;

/** A value that Prometheus measures while a canary step lasts. */
export const PrometheusCheck = z
  .strictObject({
    name: z.string().min(1).max(100),
    /** PromQL with one value as its result; `{{service}}`, `{{release}}` and `{{live}}` are replaced. */
    query: z
      .string()
      .min(1)
      .max(4_000)
      .refine((query) => !/\{\{(?!\s*(?:service|release|live)\s*\}\})/.test(query), {
        message: 'knows only the placeholders {{service}}, {{release}} and {{live}}',
      }),
    min: z.number().optional(),
    max: z.number().optional(),
  })
  .refine(({ min, max }) => min !== undefined || max !== undefined, {
    message: 'must have "min", "max" or both',
  });
export type PrometheusCheck = z.infer<typeof PrometheusCheck>;

const PrometheusUrl = z.url({ protocol: /^https?$/ }).refine(
  (text) => {
    const { username, password, search, hash } = new URL(text);
    return [username, password, search, hash].every((part) => part === '');
  },
  // Temporal keeps inputs in clear.
  { message: 'must have no user, password, query or fragment', abort: true },
);

/** What a new release must hold while it has part of the traffic. What cannot be measured is not held. */
export const Analysis = z.strictObject({
  /** Smallest share of requests answered without an error of the server's. */
  successRate: z.number().min(0).max(1).default(0.99),
  latency: z
    .strictObject({
      percentile: z.number().gt(0).lt(100).default(95),
      max: Duration,
    })
    .optional(),
  /** Largest difference between its predictions on the verify samples and those of the live release. */
  difference: z.number().nonnegative().optional(),
  /** Fewer requests in a step are no measurement. */
  minRequests: z.number().int().min(1).default(10),
  /** How long after its time a step waits for a measurement that is missing. */
  patience: Duration.default('1m'),
  prometheus: z
    .strictObject({ url: PrometheusUrl, checks: z.array(PrometheusCheck).min(1).max(20) })
    .optional(),
});
export type Analysis = z.infer<typeof Analysis>;

/** How a new release takes over from the live one. A first release takes over at once; one gone back to without steps. */
export const Strategy = z.discriminatedUnion('kind', [
  z
    .strictObject({
      kind: z.literal('rolling'),
      /** Replicas above the number asked for. */
      maxSurge: Share.default('25%'),
      /** Replicas that may be missing. */
      maxUnavailable: Share.default(0),
    })
    .refine(({ maxSurge, maxUnavailable }) => !isNone(maxSurge) || !isNone(maxUnavailable), {
      path: ['maxUnavailable'],
      message: 'must not be 0 while maxSurge is 0: no replica could ever be replaced',
    }),
  z.strictObject({
    kind: z.literal('blueGreen'),
    /** The old replicas stay for so long, so that going back is instant. */
    keep: Duration.default('10m'),
  }),
  z.strictObject({
    kind: z.literal('canary'),
    steps: z.array(CanaryStep).min(1).max(20).superRefine(refuseFalling),
    /**
     * What divides the traffic that does not come through the gateway, which always does by weight: nothing, the
     * number of replicas behind one Service, an HTTPRoute, or nginx's canary annotations.
     */
    traffic: z.enum(['gateway', 'replicas', 'httpRoute', 'nginx']).default('gateway'),
    analysis: Analysis.prefault({}),
  }),
]);
export type Strategy = z.infer<typeof Strategy>;
export type Canary = Extract<Strategy, { kind: 'canary' }>;

function isNone(share: Share): boolean {
  return share === 0 || share === '0%';
}

/** What has come to trust a release with more of the traffic does not send it back. */
function refuseFalling(steps: CanaryStep[], context: z.RefinementCtx): void {
  for (const [i, { weight }] of steps.entries()) {
    const before = steps[i - 1]?.weight ?? 0;
    if (weight < before)
      context.addIssue({
        code: 'custom',
        path: [i, 'weight'],
        message: `must not be below the ${before} of the step before`,
      });
  }
}

/** For people: `canary: 10 % for 5m, 50 % until resumed`. */
export function describeStrategy(strategy: Strategy): string {
  switch (strategy.kind) {
    case 'rolling':
      return `rolling: ${strategy.maxSurge} more and ${strategy.maxUnavailable} fewer at most`;
    case 'blueGreen':
      return `blueGreen: the old replicas stay for ${strategy.keep}`;
    case 'canary':
      return `canary: ${strategy.steps
        .map((step) => `${step.weight} % ${step.for === undefined ? 'until resumed' : `for ${step.for}`}`)
        .join(', ')}`;
  }
}
