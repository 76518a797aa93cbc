import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { messageOf } from '../contract/errors.js';
import { openPlatform } from '../platform/open.js';
import { loadStack } from '../platform/stack.js';
import { countingApi, summarize } from './counting-api.js';
import { greeterImage } from './greeter-image.js';
import { kubectlWay } from './kubectl-way.js';
import { observeRollouts, type ObservedRollouts } from './observed-rollout.js';
import { reportRollouts, type Requests, type Round, type Way } from './rollout-report.js';
import { targetWay, type RolloutWay } from './target-way.js';

type Options = { rounds: number; replicas: number; kubectl?: string; json?: boolean };

/**
 * How long it takes until a Deployment that is not there yet is known to be ready, and what is asked of the cluster for
 * that: with Slipway's target and with `kubectl apply` and `kubectl rollout status` on the same objects, in turn.
 */
async function rollout({ rounds, replicas, kubectl: program, json }: Options): Promise<void> {
  const stack = await loadStack();
  const { cluster } = stack;
  if (!cluster?.kubeconfig)
    throw new Error('the running stack has no cluster: start one with "slipway up --kubernetes"');
  const { kubeconfig } = cluster;
  const say = (text: string) => void process.stderr.write(`${text}\n`);
  const name = `bench-${randomBytes(3).toString('hex')}`;
  const home = await mkdtemp(join(tmpdir(), 'slipway-bench-'));
  const cleaning: (() => Promise<unknown>)[] = [() => rm(home, { recursive: true, force: true })];
  try {
    const platform = await openPlatform(stack);
    cleaning.push(() => platform.catalog.close());
    say('making an image of the greeter');
    const { image, spec, clean } = await greeterImage(platform, {
      ...{ model: name, target: 'kubernetes', replicas },
      resources: { cpu: 0.25, memory: '256Mi' },
    });
    cleaning.push(clean);
    const rollouts = await observeRollouts(kubeconfig, name);
    cleaning.push(() => rollouts.close());

    const open = async (file: string) => {
      const config = { ...cluster, kubeconfig: file, namespace: name };
      const slipway = targetWay(stack, config, { name, image, spec });
      // The first time each learns what the cluster offers, and the node gets the image.
      await slipway.start();
      const kubectl = await kubectlWay(program, file, home, await rollouts.manifests());
      await slipway.remove();
      await rollouts.gone();
      await kubectl.start();
      await kubectl.remove();
      await rollouts.gone();
      return { slipway, kubectl };
    };
    say('once for nothing, so that the image is on the node');
    const ways = await open(kubeconfig);
    const { version, startUp } = ways.kubectl;
    const kubectl = { version, startUps: [] as number[] };
    const results: Round[] = [];
    for (let round = 0; round < rounds; round += 1) {
      kubectl.startUps.push(await startUp());
      // Each is first as often as the other.
      for (const way of round % 2 === 0 ? inTurn : inTurn.toReversed()) {
        const result = await timed(ways[way], rollouts);
        results.push({ way, ...result });
        say(`round ${round + 1} of ${rounds}, ${way}: ${result.told.toFixed(3)} s`);
      }
    }

    say('once more, counting requests');
    const counted = await countingApi(kubeconfig);
    cleaning.push(() => counted.close());
    const file = join(home, 'counted');
    await counted.writeKubeconfig(file);
    const again = await open(file);
    const requests = {} as Record<Way, Requests>;
    for (const way of inTurn) {
      counted.take();
      await again[way].start();
      const { requests: made, received } = counted.take();
      requests[way] = { count: made.length, received, made: summarize(made) };
      await again[way].remove();
      await rollouts.gone();
    }
    reportRollouts({ replicas, rounds: results, requests, kubectl }, json === true);
  } finally {
    for (const clean of cleaning.reverse())
      await clean().catch((error: unknown) => say(`cleaning up: ${messageOf(error)}`));
  }
}

const inTurn: Way[] = ['slipway', 'kubectl'];

/** One rollout, which is removed again: seconds from its beginning. */
async function timed(way: RolloutWay, rollouts: ObservedRollouts): Promise<Omit<Round, 'way'>> {
  const began = performance.now();
  await way.start();
  const ended = performance.now();
  const { made, ready } = await rollouts.since(began);
  await way.remove();
  await rollouts.gone();
  return { made: (made - began) / 1000, ready: (ready - began) / 1000, told: (ended - began) / 1000 };
}

const atLeastOne = (text: string): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('must be a whole number above 0');
};

await new Command('bench:rollout')
  .description(
    "measures a rollout against kubectl apply + kubectl rollout status, on the running stack's cluster",
  )
  .option('--rounds <number>', 'rollouts of each way', atLeastOne, 10)
  .option('--replicas <number>', 'pods of each rollout', atLeastOne, 2)
  .option(
    '--kubectl <path>',
    'program to compare with (default: the one of the local cluster, which fits it)',
  )
  .option('--json', 'print the results as JSON')
  .action(rollout)
  .parseAsync()
  .catch((error: unknown) => {
    console.error(messageOf(error));
    process.exitCode = 1;
  });
