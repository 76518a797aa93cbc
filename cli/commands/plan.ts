import type { Command } from 'commander';
import type { Plan } from '../../contract/plan.js';
import { Name } from '../../contract/names.js';
import { withApi } from '../connection.js';
import { deployRequest, withDeployOptions, type DeployOptions } from '../deploy-options.js';
import { humanBytes } from '../../contract/quantities.js';
import { paint, print, printJson, table } from '../output.js';
import { argument } from '../usage.js';

export function registerPlan(program: Command): void {
  const command = program
    .command('plan')
    .description('say what a deployment would download, build, push and replace; change nothing')
    .argument('<model>', 'name of the model', argument(Name));
  withDeployOptions(command)
    .option('--json', 'print the plan as JSON')
    .addHelpText('after', '\nExample:\n  slipway plan iris --weights 20260131')
    .action(async (model: string, options: DeployOptions & { json?: boolean }) => {
      const body = await deployRequest(model, options);
      const plan = await withApi((client) => client.call('plan', { body }));
      if (options.json) printJson(plan);
      else show(plan);
    });
}

function show({
  source,
  weights,
  recipe,
  recipeReason,
  build,
  push,
  rollout,
  verify,
  warnings,
  service,
}: Plan): void {
  const read = (part: Plan['source']): string =>
    `${part.name}: ${part.files} files, ${humanBytes(part.bytes)}; ${part.download === 0 ? 'nothing to read' : `${humanBytes(part.download)} to read`}`;
  print(
    table([
      ['stage', `plan for ${service}`],
      ['source download', read(source)],
      ['model download', read(weights)],
      ['recipe', `${recipe}: ${recipeReason}`],
      ['build', build.needed ? `yes: ${build.reason}` : `no: ${build.reason}`],
      ['push', `${push.missing} of ${push.layers} layers, ${humanBytes(push.bytes)}`],
      [
        'rollout',
        `${rollout.replicas} on ${rollout.target} ${rollout.nodes.join(', ')}; ${rollout.atMost} at most at once`,
      ],
      ['strategy', rollout.strategy],
      [
        'verify',
        `${verify.samples === 1 ? '1 sample' : `${verify.samples} samples`}, ready within ${verify.startupBudget}`,
      ],
      ['replaces', rollout.replaces ?? 'nothing: the service is new'],
    ]),
  );
  for (const warning of warnings) print(`${paint('yellow', 'warning')}: ${warning}`);
}
