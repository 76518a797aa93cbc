import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { SlipwayError } from '../../contract/errors.js';
import { InstallationName } from '../../contract/installation.js';
import type { Stack } from '../../contract/stack.js';
import { findHome, installationNames } from '../../infra/local/home.js';
import { loadStack } from '../../platform/stack.js';
import { note, print, printJson, table } from '../output.js';
import { argument } from '../usage.js';

const dist = fileURLToPath(new URL('../../', import.meta.url));
const folderOf = (name: string): string => join(findHome().installations, name);
const fileOf = (name: string): string => join(folderOf(name), 'stack.json');

export function registerInstallation(program: Command): void {
  const installation = program
    .command('installation')
    .description('further installations on the same servers, none of which sees what another has');
  const name = argument(InstallationName);

  installation
    .command('create')
    .description(
      'make one: a Temporal namespace, a database, a bucket, a prefix in the registry and a label, all named after it',
    )
    .argument('<name>', 'as in "team-a"', name)
    .option('--json', 'print where it is as JSON')
    .addHelpText(
      'after',
      '\nThe servers are those of the stack file; credentials are shared until you give it others in its own file.' +
        '\nDone again, it changes nothing but what is missing.' +
        '\n\nExample:\n  slipway installation create team-a\n  slipway installation run team-a',
    )
    .action(async (named: string, { json }: { json?: boolean }) => {
      const { createInstallation } = await import('../../infra/installation.js');
      const { default: getPort } = await import('get-port');
      const servers = await loadStack();
      const ports = { api: await getPort(), gateway: await getPort() };
      const stack = await createInstallation(servers, named, { folder: folderOf(named), ports });
      if (json) printJson({ name: named, stackFile: fileOf(named), ...partsOf(stack) });
      else {
        print(
          table([
            ['PART', 'OF ITS OWN'],
            ...Object.entries(partsOf(stack)).map(([part, own]) => [part, own]),
          ]),
        );
        print();
        print(`Its configuration is ${fileOf(named)}.`);
        print(`Start it with: slipway installation run ${named}`);
        print(`Use it with:   export SLIPWAY_STACK=${fileOf(named)}`);
      }
    });

  installation
    .command('list')
    .description('those that were made here')
    .option('--json', 'print them as JSON')
    .addHelpText('after', '\nExample:\n  slipway installation list')
    .action(async ({ json }: { json?: boolean }) => {
      const made = await Promise.all(
        (await installationNames(findHome())).map((named) => loadStack(fileOf(named))),
      );
      if (json) printJson(made.map((stack) => ({ name: stack.name, ...partsOf(stack) })));
      else if (made.length === 0) print('There is none; "slipway installation create NAME" makes one.');
      else
        print(
          table([
            ['NAME', 'API', 'GATEWAY'],
            ...made.map(({ name: named, api, gateway }) => [named, api, gateway]),
          ]),
        );
    });

  installation
    .command('run')
    .description('run its worker, API and gateway here until Ctrl-C')
    .argument('<name>', 'one that was made', name)
    .action(async (named: string) => {
      if (!existsSync(fileOf(named)))
        throw new SlipwayError(
          'NotFound',
          `there is no installation "${named}" here: make it with "slipway installation create ${named}"`,
        );
      const { api, gateway } = await loadStack(fileOf(named));
      note(`API ${api}, gateway ${gateway}; Ctrl-C ends both, what they serve stays`);
      process.exitCode = await runProcesses(named);
    });
}

const partsOf = ({ temporal, postgres, s3, registry, api, gateway }: Stack) => ({
  namespace: temporal.namespace,
  taskQueue: temporal.taskQueue,
  database: new URL(postgres).pathname.slice(1),
  bucket: s3.bucket,
  prefix: registry.prefix,
  api,
  gateway,
});

/** Both processes until one of them ends, then the other too; answers the status to end with. */
async function runProcesses(named: string): Promise<number> {
  const env = { ...process.env, SLIPWAY_HOME: folderOf(named), SLIPWAY_STACK: fileOf(named) };
  const children = ['workers/main.js', 'api/main.js'].map((entry) =>
    spawn(process.execPath, ['--enable-source-maps', join(dist, entry)], { env, stdio: 'inherit' }),
  );
  let asked = false;
  const stop = (): void => {
    asked = true;
    // Of a terminal both have had the signal already; another one would not let them end in order.
    for (const child of children) if (!process.stdin.isTTY) child.kill('SIGTERM');
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  const ended = children.map(async (child) => {
    const [code] = (await once(child, 'exit')) as [number | null];
    for (const other of children) if (other !== child && !asked) other.kill('SIGTERM');
    return code ?? 1;
  });
  const statuses = await Promise.all(ended);
  return asked ? 0 : Math.max(1, ...statuses);
}
