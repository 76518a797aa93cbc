import { quantile, summaryOf, type Summary } from './statistics.js';

export type Way = 'slipway' | 'kubectl';

/** Seconds from the first step until the Deployment was there, was ready, and was known to be ready. */
export type Round = { way: Way; made: number; ready: number; told: number };

/** What one rollout asks of the apiserver, counted on the line by a proxy in front of it. */
export type Requests = { count: number; received: number; made: string[] };

type Run = {
  replicas: number;
  rounds: Round[];
  requests: Record<Way, Requests>;
  /** Path and version, and the seconds that it takes to start, which it does twice in every rollout. */
  kubectl: { version: string; startUps: number[] };
};

/** Prints what was measured, with the ratio of the medians. */
export function reportRollouts({ replicas, rounds, requests, kubectl }: Run, json: boolean): void {
  const of = (way: Way, value: (round: Round) => number): Summary =>
    summaryOf(rounds.filter((round) => round.way === way).map(value));
  const ways = (['slipway', 'kubectl'] as const).map((way) => ({
    way,
    told: of(way, ({ told }) => told),
    made: of(way, ({ made }) => made),
    // Answers cross: one who waits may be told before the observer is.
    lag: of(way, ({ told, ready }) => told - ready),
    requests: requests[way],
  }));
  const [ours, theirs] = ways as [(typeof ways)[0], (typeof ways)[0]];
  const ratio = ours.told.median / theirs.told.median;
  const pairs = pairsOf(rounds);
  const startUp = quantile(kubectl.startUps, 0.5);
  const ratioWithoutStarts = ours.told.median / (theirs.told.median - 2 * startUp);
  if (json) {
    console.log(JSON.stringify({ replicas, ratio, ratioWithoutStarts, kubectl, ways, rounds }, null, 2));
    return;
  }
  const count = rounds.length / 2;
  console.log(
    `\n${count} rollouts each of a new Deployment of ${replicas} pods, image on the node; seconds\n`,
  );
  console.log(
    row('way', 'known ready', 'quartiles', 'min–max', 'made after', 'known after it was', 'requests'),
  );
  for (const {
    way,
    told,
    made,
    lag,
    requests: { count: asked },
  } of ways)
    console.log(
      row(
        way,
        told.median.toFixed(3),
        told.quartiles.map((it) => it.toFixed(3)).join('–'),
        `${told.min.toFixed(3)}–${told.max.toFixed(3)}`,
        made.median.toFixed(3),
        lag.median.toFixed(3),
        String(asked),
      ),
    );
  console.log(
    `\nratio of the medians ${ratio.toFixed(3)}; median of the rounds' ratios ${quantile(pairs, 0.5).toFixed(3)}; ` +
      `without kubectl's two starts of ${startUp.toFixed(3)} s each ${ratioWithoutStarts.toFixed(3)}`,
  );
  console.log(`kubectl is ${kubectl.version}`);
  for (const {
    way,
    requests: { made, received },
  } of ways)
    console.log(`${way}, ${(received / 1000).toFixed(0)} kB: ${made.join(', ')}`);
}

/** Ours to theirs, round by round. */
function pairsOf(rounds: Round[]): number[] {
  const told = (way: Way): number[] => rounds.filter((round) => round.way === way).map((round) => round.told);
  const theirs = told('kubectl');
  return told('slipway').map((seconds, index) => seconds / theirs[index]!);
}

const row = (way: string, ...rest: string[]): string =>
  `${way.padEnd(8)}${rest.map((it, index) => it.padStart([12, 14, 14, 12, 20, 10][index] ?? 12)).join(' ')}`;
