import type { Command } from 'commander';
import { z } from 'zod';
import type { DeploymentSummary } from '../../contract/api.js';
import { Name } from '../../contract/names.js';
import { withApi } from '../connection.js';
import { humanTime, print, printJson, table } from '../output.js';
import { argument } from '../usage.js';

type Options = { service?: string; model?: string; limit: number; json?: boolean };

export function registerDeployments(program: Command): void {
  program
    .command('deployments')
    .description('list deployments, newest first; "live" marks those whose release serves now')
    .option('--service <name>', 'of this service only', argument(Name))
    .option('--model <name>', 'of this model only', argument(Name))
    .option('--limit <n>', 'at most so many', argument(z.coerce.number().int().min(1).max(500)), 20)
    .option('--json', 'print them as JSON')
    .addHelpText('after', '\nExample:\n  slipway deployments --service iris')
    .action(async ({ json, ...query }: Options) => {
      const found = await withApi((client) => client.call('listDeployments', { query }));
      if (json) return printJson(found);
      if (found.length === 0) return print('no deployments yet: "slipway deploy MODEL" starts one');
      print(
        table([['deployment', 'service', 'state', 'stage', 'started (UTC)', 'took', ''], ...found.map(row)]),
      );
    });
}

const row = ({
  deployment,
  service,
  state,
  stage,
  startedAt,
  endedAt,
  live,
}: DeploymentSummary): string[] => [
  deployment.workflowId,
  service,
  state,
  stage ?? '',
  startedAt.replace('T', ' ').slice(0, 19),
  humanTime((endedAt ? Date.parse(endedAt) : Date.now()) - Date.parse(startedAt)),
  live ? 'live' : '',
];
