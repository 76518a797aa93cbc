import type { Command } from 'commander';
import { componentNames } from '../../infra/local/components/component.js';
import { findHome } from '../../infra/local/home.js';
import { report } from '../../infra/local/report.js';
import type { UpResult } from '../../infra/local/up.js';
import { interruptibly } from '../interruptible.js';
import { print, printJson, table } from '../output.js';

export function registerUp(program: Command): void {
  program
    .command('up')
    .description('start the local stack, or repair it; twice changes nothing')
    .option('--json', 'print what runs where as JSON')
    .addHelpText(
      'after',
      '\nEverything listens on 127.0.0.1 and is kept in .slipway (or $SLIPWAY_HOME).' +
        '\nPorts are 7800 to 7807 (from $SLIPWAY_PORT_BASE), or others where these are taken.',
    )
    .action(async ({ json }: { json?: boolean }) => {
      // Loaded when asked for: the other commands are not to wait for all that servers need.
      const { up } = await import('../../infra/local/up.js');
      const home = findHome();
      const progress = report();
      try {
        const result = await interruptibly((signal) => up(home, progress, signal));
        progress.close();
        const components = describe(result);
        if (json) printJson({ home: home.root, stackFile: home.stackFile, components });
        else show(result, components, home.stackFile);
      } finally {
        progress.close();
      }
    });
}

type Row = { component: string; state: string; url: string };

function describe({ stack, done }: UpResult): Row[] {
  const urls = {
    temporal: stack.temporal.ui,
    minio: stack.s3.endpoint,
    registry: stack.registry.url,
    postgres: stack.postgres.replace(/\/\/.*@/, '//'),
    docker: stack.docker,
    worker: '',
    server: `${stack.gateway} (gateway), ${stack.api} (API)`,
  };
  return componentNames.map((component) => ({ component, state: done[component], url: urls[component] }));
}

function show({ stack }: UpResult, rows: Row[], file: string): void {
  print(
    table([
      ['COMPONENT', 'STATE', 'WHERE'],
      ...rows.map(({ component, state, url }) => [component, state, url]),
    ]),
  );
  print();
  print(`Addresses and credentials are in ${file}.`);
  if (stack.allowPickle)
    print(
      'Pickle and joblib weights are allowed here: they run the code they contain, so deploy only your own.',
    );
  print('Stop it with "slipway down"; its data stays.');
}
