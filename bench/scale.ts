import { fork } from 'node:child_process';
import { on, once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { messageOf } from '../contract/errors.js';
import { simulatedCluster } from '../infra/local/kubernetes/simulated.js';
import { kube } from '../infra/local/tools/kube.js';
import { getTool } from '../infra/local/tools/tool.js';
import { countingApi, summarize, type CountingApi } from './counting-api.js';
import type { Done, Order, Step } from './scale-await.js';
import { reportScale, type Scaled } from './scale-report.js';

type Options = { pods: number[]; json?: boolean };

/**
 * What rolling out and awaiting a Deployment takes of our process and asks of the apiserver, by its number of pods:
 * on a control plane of its own, with nodes that are simulated.
 */
async function scale({ pods, json }: Options): Promise<void> {
  const say = (text: string) => void process.stderr.write(`${text}\n`);
  say('starting a control plane with simulated nodes');
  const most = Math.max(...pods);
  const { signal } = new AbortController();
  const programs = dirname(await getTool(kube, say, signal));
  const cluster = await simulatedCluster({ programs, nodes: 4, podsPerNode: most }, say, signal);
  try {
    const counted = await countingApi(cluster.kubeconfig);
    try {
      const kubeconfig = join(cluster.folder, 'counted');
      await counted.writeKubeconfig(kubeconfig);
      const results: Scaled[] = [];
      for (const replicas of pods) {
        say(`${replicas} pods …`);
        const order = { kubeconfig, name: `scale-${replicas}`, replicas };
        for await (const { step, ...rest } of steps(order, counted)) {
          if (step !== 'ready') results.push({ pods: replicas, step, ...rest });
        }
      }
      reportScale(results, json === true);
    } finally {
      await counted.close();
    }
  } finally {
    await cluster.stop();
  }
}

/** Each number of pods in a process of its own: none has memory left from another. */
async function* steps(
  order: Order,
  counted: CountingApi,
): AsyncGenerator<Done & { requests: number; received: number; made: string[] }> {
  const child = fork(program, { execArgv: ['--enable-source-maps', '--expose-gc'] });
  const ended = new AbortController();
  child.once('exit', () => ended.abort());
  child.send(order);
  try {
    for await (const [done] of on(child, 'message', { signal: ended.signal }) as AsyncIterable<[Done]>) {
      const { requests, received } = counted.take();
      yield { ...done, requests: requests.length, received, made: summarize(requests) };
      child.send('go on');
      if (done.step === ('again' satisfies Step)) break;
    }
    if (child.exitCode === null) await once(child, 'exit');
  } catch (error) {
    if (!ended.signal.aborted) throw error;
    throw new Error(`awaiting ${order.replicas} pods: the process ended with ${child.exitCode}`, {
      cause: error,
    });
  } finally {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }
}

const program = fileURLToPath(new URL('scale-await.js', import.meta.url));

const numbers = (text: string): number[] => {
  const values = text.split(',').map(Number);
  if (values.every((value) => Number.isInteger(value) && value >= 1 && value <= 1_000)) return values;
  throw new InvalidArgumentError('must be numbers from 1 to 1000, with commas between them');
};

await new Command('bench:scale')
  .description('measures memory and API requests of a rollout by its number of pods, on simulated nodes')
  .option('--pods <numbers>', 'numbers of pods', numbers, [10, 100, 1_000])
  .option('--json', 'print the results as JSON')
  .action(scale)
  .parseAsync()
  .catch((error: unknown) => {
    console.error(messageOf(error));
    process.exitCode = 1;
  });
