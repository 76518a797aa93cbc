/** Servers that are killed together while deployments are under way. */
export type Outage<Server> = {
  away: readonly Server[];
  /** Another deployment begins before it. */
  joined?: boolean;
};

/** A fault and the step that meets it, `minio in pin`; servers killed together are `minio+registry in pin`. */
export const meeting = (away: readonly string[], step: string): string =>
  `${[...away].sort().join('+')} in ${step}`;

/**
 * Steps that deployments are in at each outage: one in every step at the first; each is a step further at the next, and
 * those that have joined begin at the first step.
 */
export function stepsMet<Step>(steps: readonly Step[], outages: readonly Outage<unknown>[]): Step[][] {
  let at = steps.map((_, index) => index);
  return outages.map(({ joined }, turn) => {
    if (turn > 0) at = at.map((index) => index + 1).filter((index) => index < steps.length);
    if (joined) at = [0, ...at];
    return at.map((index) => steps[index]!);
  });
}

/** What is wanted and not among what was met. */
export const unmet = (wanted: readonly string[], met: readonly string[]): string[] =>
  wanted.filter((one) => !met.includes(one));
