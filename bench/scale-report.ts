import type { Step, Used } from './scale-await.js';

/** What one step took with so many pods. */
export type Scaled = {
  pods: number;
  step: Exclude<Step, 'ready'>;
  used: Used;
  requests: number;
  received: number;
  made: string[];
};

const names = { rollout: 'rolling out', again: 'finding it ready' } as const;

/** Prints what was measured, in all and for each pod. */
export function reportScale(results: Scaled[], json: boolean): void {
  if (json) {
    console.log(JSON.stringify(results, null, 2));
    return;
  }
  console.log(
    `\n${row('step', 'pods', 'seconds', 'requests', 'kB read', 'kB/pod', 'heap MB', 'kB/pod', 'peak RSS MB', 'cpu ms', 'ms/pod')}`,
  );
  for (const { pods, step, used, requests, received } of results)
    console.log(
      row(
        names[step],
        String(pods),
        used.seconds.toFixed(1),
        String(requests),
        (received / 1e3).toFixed(0),
        (received / 1e3 / pods).toFixed(1),
        step === 'rollout' ? (used.heap / 1e6).toFixed(1) : '',
        step === 'rollout' ? (used.heap / 1e3 / pods).toFixed(1) : '',
        (used.resident / 1e6).toFixed(0),
        used.cpu.toFixed(0),
        (used.cpu / pods).toFixed(1),
      ),
    );
  console.log();
  for (const { pods, step, made } of results) console.log(`${names[step]}, ${pods} pods: ${made.join(', ')}`);
}

const row = (step: string, ...rest: string[]): string =>
  `${step.padEnd(16)}${rest.map((it) => it.padStart(it.length > 9 ? 13 : 9)).join(' ')}`;
