import type { Command } from 'commander';
import type { ApiClient } from '../../api/client.js';
import { ApiFailure } from '../../api/failure.js';
import type { DeploymentStatus } from '../../contract/deployment.js';
import { Name } from '../../contract/names.js';
import { withApi } from '../connection.js';
import { Told } from '../failure.js';
import { note, print, printJson } from '../output.js';
import { stageLines } from '../stage-view.js';
import { jsonView, viewFor } from '../views.js';
import { endLines, hasEnded, report, watch } from '../watch.js';

type Options = { run?: string; follow?: boolean; json?: boolean };

export function registerStatus(program: Command): void {
  program
    .command('status')
    .description('show a deployment: its stages, what was undone, what serves now')
    .argument('<id>', 'workflow id of the deployment')
    .option('--run <id>', 'run of that workflow (default: the latest)')
    .option('-f, --follow', 'until it ends; exit status 1 unless it succeeds')
    .option('--json', 'print the status as JSON; with --follow a line for every change')
    .addHelpText('after', '\nExample:\n  slipway status deploy/iris/4f2a91c0 --follow')
    .action(async (id: string, { run, follow, json }: Options) => {
      await withApi(async (client) => {
        const status = await find(client, id, run);
        if (follow) return await followIt(client, status, json);
        if (json) return printJson(status);
        for (const line of stageLines(status, process.stdout.columns)) print(line);
        if (hasEnded(status)) for (const line of await endLines(client, status)) print(line);
      });
    });
}

async function find(client: ApiClient, id: string, run?: string): Promise<DeploymentStatus> {
  try {
    return await client.call('getDeployment', { params: { id }, query: run ? { run } : {} });
  } catch (error) {
    if (error instanceof ApiFailure && error.type === 'NotFound' && Name.safeParse(id).success)
      note(`of a service: "slipway service status ${id}", "slipway deployments --service ${id}"`);
    throw error;
  }
}

async function followIt(client: ApiClient, { deployment }: DeploymentStatus, json = false): Promise<void> {
  const status = await watch(client, deployment, json ? jsonView() : await viewFor(process.stdout));
  if (!json) return await report(client, status, process.stdout);
  if (status.state !== 'succeeded') throw new Told(1);
}
