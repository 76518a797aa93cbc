import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, CommanderError } from 'commander';
import { messageOf, SlipwayError } from '../../contract/errors.js';
import type { Stack } from '../../contract/stack.js';
import { createRegistry } from '../../platform/images/registry.js';
import { loadStack } from '../../platform/stack.js';
import { report as reportOn } from '../local/report.js';
import { openBase, usualBase } from './base.js';
import { buildImage } from './image.js';
import { credentialsFor, parseReference } from './reference.js';
import { pushImage, saveImage } from './ship.js';

type Options = { push?: string; output?: string; base?: string; json?: boolean };

/** `npm run image`: the image that workers, API and gateway run in. Needs no container engine. */
const program = new Command('npm run image --')
  .description('Build the image of Slipway itself: workers, API and gateway. No container engine is needed.')
  .option('--push <name>', 'push it as host/repository:tag (default: to the stack’s registry, as "slipway")')
  .option('--output <file>', 'write it to a file instead, for "docker load" or "ctr images import"')
  .option(
    '--base <image>',
    `base image, any with glibc; "debian": from Debian packages, with this machine’s Node (default: ${usualBase}, else "debian")`,
  )
  .option('--json', 'print what was made as JSON')
  .addHelpText(
    'after',
    `
Credentials of a registry: SLIPWAY_IMAGE_USERNAME and SLIPWAY_IMAGE_PASSWORD, else the stack's, else what
"docker login" left in ~/.docker/config.json.
Prints the image by digest on stdout, progress on stderr.

Examples:
  npm run image -- --push registry.example.com/platform/slipway:0.1.0
  npm run image -- --output slipway.tar && docker load --input slipway.tar`,
  )
  .action(run);

try {
  // Commander ends the process on wrong usage with status 1.
  await program.exitOverride().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    console.error(messageOf(error));
    process.exitCode = error instanceof SlipwayError && error.type === 'InvalidInput' ? 2 : 1;
  }
}

async function run({ push, output, base, json }: Options): Promise<void> {
  if (push && output) throw new SlipwayError('InvalidInput', '--push and --output: name one of them');
  const { version } = JSON.parse(
    await readFile(new URL('../../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  const stack = await loadStack().catch((error: unknown) => {
    if (push || output) return null;
    throw error;
  });
  const to = push ?? `${stack ? new URL(stack.registry.url).host : 'localhost'}/slipway:${version}`;
  const { host, repository, reference: tag } = parseReference(to);
  const report = reportOn();
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => stop.abort(new Error('interrupted')));
  const { signal } = stop;
  const folder = await mkdtemp(join(tmpdir(), 'slipway-image-'));
  try {
    const credentials = (of: string) => credentialsFor(of, stack);
    const opened = await openBase(base, { folder, credentials, report, signal });
    report.done('base', opened.name);
    const built = await buildImage(opened, { folder, version, report, signal });
    const sizes = built.layers.map(({ descriptor, createdBy }) => ({ size: descriptor.size, createdBy }));
    report.done('image', sizes.map(({ size, createdBy }) => `${createdBy} ${mebibytes(size)}`).join(', '));
    const digest = output
      ? await saveImage(built, to, resolve(output))
      : await pushImage(built, await open(host, stack), { repository, tag }, report, signal);
    report.done(output ? 'save' : 'push', output ?? to);
    report.close();
    if (json)
      console.log(JSON.stringify({ image: to, digest, layers: sizes, ...(output && { output }) }, null, 2));
    else console.log(output ? `${output} ${digest}` : `${to}@${digest}`);
  } finally {
    report.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function open(host: string, stack: Stack | null) {
  return createRegistry({ url: host, ...(await credentialsFor(host, stack)) });
}

function mebibytes(size: number): string {
  return `${Math.ceil(size / 2 ** 20)} MiB`;
}
