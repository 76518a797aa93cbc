import type { Command } from 'commander';
import type { ServiceView } from '../../contract/api.js';
import { Name } from '../../contract/names.js';
import { withApi } from '../connection.js';
import { print, printJson, table } from '../output.js';
import { argument, number } from '../usage.js';

export function registerService(program: Command): void {
  const service = program
    .command('service')
    .description('look at services')
    .addHelpText('after', '\nExample:\n  slipway service status iris');
  service
    .command('list')
    .description('every service and what it serves')
    .option('--json', 'print them as JSON')
    .addHelpText('after', '\nExample:\n  slipway service list')
    .action(async ({ json }: { json?: boolean }) => {
      const views = await withApi((client) => client.call('listServices'));
      if (json) return printJson(views);
      if (views.length === 0) return print('no services yet: "slipway deploy MODEL" makes one');
      print(table([['service', 'live', 'replicas', 'previous', 'changing'], ...views.map(row)]));
    });
  service
    .command('status')
    .description('one service: its live release, replicas, and releases to go back to')
    .argument('<service>', 'name of the service', argument(Name))
    .option('--json', 'print it as JSON')
    .addHelpText('after', '\nExample:\n  slipway service status iris')
    .action(async (name: string, { json }: { json?: boolean }) => {
      const view = await withApi((client) => client.call('getService', { params: { service: name } }));
      if (json) printJson(view);
      else show(view);
    });
  service
    .command('audit')
    .description('who did what to a service, newest first')
    .argument('<service>', 'name of the service', argument(Name))
    .option('--limit <n>', 'that many entries (default: 50)', number)
    .option('--json', 'print them as JSON')
    .addHelpText('after', '\nExample:\n  slipway service audit iris')
    .action(async (name: string, { limit, json }: { limit?: number; json?: boolean }) => {
      const entries = await withApi((client) =>
        client.call('listAudit', { params: { service: name }, query: { limit } }),
      );
      if (json) return printJson(entries);
      if (entries.length === 0) return print(`nothing was done to ${name} yet`);
      print(
        table([
          ['at', 'what', 'who', 'details'],
          ...entries.map(({ at, action, actor, details }) => [
            at.replace('T', ' ').slice(0, 19),
            ...[action, actor, JSON.stringify(details)],
          ]),
        ]),
      );
    });
}

const row = ({ record, route }: ServiceView): string[] => [
  record.service,
  record.live ?? 'nothing',
  String(route?.replicas.length ?? 0),
  record.previous ?? '',
  record.holder?.workflowId ?? '',
];

function show({ record, route, releases }: ServiceView): void {
  print(`${record.service} serves ${record.live ?? 'nothing'}`);
  if (record.holder) print(`being changed by ${record.holder.workflowId}`);
  for (const { name, node, url } of route?.replicas ?? []) print(`  ${name} on ${node} at ${url}`);
  if (releases.length === 0) return;
  print();
  print(
    table([
      ['release', 'weights', 'image', 'verified', ''],
      ...releases.map(({ id, weights, image, verification }) => [
        id,
        weights.name,
        image.digest.slice(0, 19),
        verification.at.replace('T', ' ').slice(0, 19),
        id === record.live ? 'live' : id === record.previous ? 'previous' : '',
      ]),
    ]),
  );
}
