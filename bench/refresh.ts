import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { messageOf } from '../contract/errors.js';
import { bytes as bytesOf } from '../contract/quantities.js';
import { loadStack } from '../platform/stack.js';
import { countingLine } from './counting-line.js';
import { dockerWay } from './docker-way.js';
import { report, type Measured } from './report.js';
import { slipwayWay } from './slipway-way.js';
import { changeOneFile, makeWeights, zipWeights } from './weights.js';

type Options = { size: string; json?: boolean };

/**
 * How long and how many bytes it takes until weights of which one file in ten changed are an image in the registry:
 * with Slipway and with `docker build` + `docker push`, one after the other, against the running stack.
 */
async function refresh({ size: sizeText, json }: Options): Promise<void> {
  const size = bytesOf(sizeText);
  const stack = await loadStack();
  const url = new URL(stack.registry.url);
  if (url.protocol !== 'http:')
    throw new Error(`counting the bytes sent to "${url.origin}": only possible for a registry without TLS`);
  const model = `bench-${randomBytes(4).toString('hex')}`;
  const home = await mkdtemp(join(tmpdir(), 'slipway-bench-'));
  const [weights, zip] = [join(home, 'weights'), join(home, 'weights.zip')];
  const line = await countingLine(url);
  const cleaning: (() => Promise<void>)[] = [
    () => rm(home, { recursive: true, force: true }),
    () => line.close(),
  ];
  const results: Measured[] = [];
  const say = (text: string) => void process.stderr.write(`${text}\n`);
  const measure = async <T>(way: Measured['way'], step: string, act: () => Promise<T>): Promise<T> => {
    say(`${way}: ${step} …`);
    line.take();
    const began = performance.now();
    const result = await act();
    results.push({ way, step, seconds: (performance.now() - began) / 1000, bytes: line.take() });
    return result;
  };
  let changed = 0;
  try {
    say(`making ${sizeText} of weights`);
    await mkdir(weights);
    await makeWeights(weights, size);
    await zipWeights(weights, zip);

    const slipway = await slipwayWay(stack, line.host, model);
    cleaning.push(slipway.clean);
    const ship = async (date: string) => {
      const artifact = await slipway.upload(zip, date);
      await slipway.push(artifact);
      return artifact;
    };
    await measure('slipway', 'first time, from local zip', () => ship('20260101'));
    changed = await changeOneFile(weights, size);
    await zipWeights(weights, zip);
    const shipped = await measure('slipway', 'refresh, from local zip', () => ship('20260102'));
    await measure('slipway', 'nothing changed, from stored and indexed', () => slipway.push(shipped));

    const docker = await dockerWay(stack, line.host, model, home);
    cleaning.push(docker.clean);
    await measure('docker', 'first time', docker.buildAndPush);
    await changeOneFile(weights, size);
    await zipWeights(weights, zip);
    await measure('docker', 'refresh', docker.buildAndPush);

    const stored = await slipway.upload(zip, '20260103');
    await measure('slipway', 'refresh, from stored and indexed', () => slipway.push(stored));
    await changeOneFile(weights, size);
    await zipWeights(weights, zip);
    const elsewhere = await slipway.upload(zip, '20260104');
    await measure('slipway', 'refresh, from stored and indexed, on another machine', () =>
      slipway.pushElsewhere(elsewhere),
    );
    report({ size, changed, builder: docker.builder, results }, json === true);
  } finally {
    for (const clean of cleaning.reverse())
      await clean().catch((error: unknown) => say(`cleaning up: ${messageOf(error)}`));
  }
}

await new Command('bench:refresh')
  .description('measures a refresh of weights against docker build + docker push, on the running stack')
  .option('--size <bytes>', 'size of the weights, in ten files', '1G')
  .option('--json', 'print the results as JSON')
  .action(refresh)
  .parseAsync()
  .catch((error: unknown) => {
    console.error(messageOf(error));
    process.exitCode = 1;
  });
