import type { Command } from 'commander';
import { findHome } from '../../infra/local/home.js';
import { interruptibly } from '../interruptible.js';
import { print } from '../output.js';

export function registerDown(program: Command): void {
  program
    .command('down')
    .description('stop the local stack and everything it started; its data stays')
    .option('--purge', 'remove its data, containers and images as well')
    .action(async ({ purge = false }: { purge?: boolean }) => {
      const { down } = await import('../../infra/local/down.js');
      const { report } = await import('../../infra/local/report.js');
      const home = findHome();
      const progress = report();
      try {
        await interruptibly((signal) => down(home, purge, progress, signal));
      } finally {
        progress.close();
      }
      print(purge ? 'Nothing of the stack is left.' : 'Stopped; "slipway up" brings it back as it was.');
    });
}
