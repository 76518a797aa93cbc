import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { Name } from '../../contract/names.js';
import { withApi } from '../connection.js';
import { deployRequest, withDeployOptions, type DeployOptions } from '../deploy-options.js';
import { print, printJson } from '../output.js';
import { argument } from '../usage.js';
import { viewFor } from '../views.js';
import { leavingItRunning, report, watch } from '../watch.js';

type Options = DeployOptions & { id?: string; wait: boolean; json?: boolean };

export function registerDeploy(program: Command): void {
  const command = program
    .command('deploy')
    .description('ship a model: from what was uploaded to a verified endpoint; Ctrl-C leaves it running')
    .argument('<model>', 'name of the model', argument(Name));
  withDeployOptions(command)
    .option('--id <id>', 'workflow id; given again while it runs, it is the same deployment')
    .option('--no-wait', 'start it and print its id')
    .option('--json', 'print the deployment as JSON')
    .addHelpText(
      'after',
      '\nExit status: 0 it serves, 1 it failed and was undone, 130 interrupted: it goes on.' +
        '\n\nExample:\n  slipway deploy iris --replicas 2 --sample \'{"input":[[5.1,3.5,1.4,0.2]],"expect":[0]}\'',
    )
    .action(async (model: string, options: Options) => {
      const body = await deployRequest(model, options);
      // Named here, so that whoever is interrupted while it starts knows what to look for.
      const id = options.id ?? `deploy/${body.service ?? model}/${randomBytes(4).toString('hex')}`;
      await withApi(async (client) => {
        const ref = await leavingItRunning(id, () => client.call('deploy', { body, query: { id } }));
        if (!options.wait) return options.json ? printJson(ref) : print(ref.workflowId);
        const stream = options.json ? process.stderr : process.stdout;
        const status = await watch(client, ref, await viewFor(stream));
        if (options.json) printJson(status);
        await report(client, status, stream);
      });
    });
}
