import { Option, type Command } from 'commander';
import { Name, ReleaseId } from '../../contract/names.js';
import { withApi } from '../connection.js';
import { conflictPolicies } from '../deploy-options.js';
import { print, printJson } from '../output.js';
import { argument } from '../usage.js';
import { viewFor } from '../views.js';
import { report, watch } from '../watch.js';

type Options = { to?: string; onConflict?: 'fail' | 'wait' | 'supersede'; wait: boolean; json?: boolean };

export function registerRollback(program: Command): void {
  program
    .command('rollback')
    .description('go back to an earlier verified release, as it was; no build, no push')
    .argument('<service>', 'name of the service', argument(Name))
    .option('--to <release>', 'release to go back to (default: the one before)', argument(ReleaseId))
    .addOption(
      new Option('--on-conflict <what>', 'when a deployment is changing the service').choices(
        conflictPolicies,
      ),
    )
    .option('--no-wait', 'start it and print its id')
    .option('--json', 'print the deployment as JSON')
    .addHelpText('after', '\nExample:\n  slipway rollback iris --to iris.r7')
    .action(async (service: string, { to, onConflict, wait, json }: Options) => {
      await withApi(async (client) => {
        const body = { ...(to ? { to } : {}), ...(onConflict ? { onConflict } : {}) };
        const ref = await client.call('rollback', { params: { service }, body });
        if (!wait) return json ? printJson(ref) : print(ref.workflowId);
        const stream = json ? process.stderr : process.stdout;
        const status = await watch(client, ref, await viewFor(stream));
        if (json) printJson(status);
        await report(client, status, stream);
      });
    });
}
