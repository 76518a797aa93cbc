import { Option, type Command } from 'commander';
import { DeployInput, describeIssues, Recipe, TargetKind, type DeployRequest } from '../contract/deploy.js';
import { json, number, readObject, UsageError } from './usage.js';

export const conflictPolicies = ['fail', 'wait', 'supersede'];

/** Flags for the common fields of a deployment. */
export type DeployOptions = {
  spec?: string;
  service?: string;
  weights?: string;
  recipe?: string;
  replicas?: number;
  port?: number;
  cpu?: number;
  memory?: string;
  sample?: unknown[];
  latencyBudget?: string;
  startupBudget?: string;
  approval?: boolean;
  approvalDeadline?: string;
  deadline?: string;
  onConflict?: string;
  target?: string;
  strategy?: string;
  canarySteps?: unknown[];
  namespace?: string;
};

export const withDeployOptions = (command: Command): Command =>
  command
    .option('--spec <file>', 'YAML or JSON file with any fields of the deployment; flags win')
    .option('--service <name>', "name to serve it under (default: the model's)")
    .option('--weights <date>', 'YYYYMMDD or "latest"')
    .addOption(new Option('--recipe <name>', 'how it becomes an image').choices(Recipe.options))
    .addOption(new Option('--target <name>', 'where it runs').choices(TargetKind.options))
    .option('--namespace <name>', 'namespace of the cluster; with --target kubernetes')
    .addOption(
      new Option('--strategy <kind>', 'how it takes over').choices(['rolling', 'blueGreen', 'canary']),
    )
    .option('--canary-steps <steps>', 'percent and time of each, e.g. 10:5m,50:pause', canarySteps)
    .option('--replicas <n>', 'containers', number)
    .option('--port <n>', 'port inside the container', number)
    .option('--cpu <cores>', 'cores of one replica', number)
    .option('--memory <size>', 'memory of one replica, e.g. 1Gi')
    .option(
      '--sample <json>',
      'a sample to judge, e.g. {"input":[[1,2]],"expect":[0]}; may be repeated',
      collect,
    )
    .option('--latency-budget <time>', 'longest a sample may take, e.g. 500ms')
    .option('--startup-budget <time>', 'longest until ready, e.g. 5m (default: by the size of the weights)')
    .option('--approval', 'wait for "slipway approve" before the rollout')
    .option('--approval-deadline <time>', 'longest to wait for it')
    .option('--deadline <time>', 'longest the whole may take')
    .addOption(
      new Option('--on-conflict <what>', 'when another deployment is changing the service').choices(
        conflictPolicies,
      ),
    );

/** `10:5m,50:pause`; a step that is none is refused with the others, by its schema. */
function canarySteps(text: string): unknown[] {
  return text.split(',').map((step) => {
    const [weight = '', time = ''] = step.trim().split(':');
    return { weight: number(weight), ...(time === 'pause' ? { pause: true } : { for: time }) };
  });
}

const collect = (text: string, before: unknown[] = []): unknown[] => [...before, json(text)];

/**
 * The deployment's input from spec file and flags, defaults left to the API. Throws {@link UsageError} naming every
 * field that is wrong.
 */
export async function deployRequest(model: string, options: DeployOptions): Promise<DeployRequest> {
  const spec = options.spec ? await readObject(options.spec) : {};
  const { service, weights, recipe, target, replicas, port, deadline, onConflict } = options;
  const flags = {
    service,
    weights,
    recipe,
    target,
    replicas,
    port,
    deadline,
    onConflict,
    kubernetes: merged(spec['kubernetes'], { namespace: options.namespace }),
    strategy: strategyOf(spec['strategy'], options),
    resources: merged(spec['resources'], { cpu: options.cpu, memory: options.memory }),
    verify: merged(spec['verify'], {
      samples: options.sample,
      latencyBudget: options.latencyBudget,
      startupBudget: options.startupBudget,
    }),
    approval: merged(spec['approval'], {
      required: options.approval,
      deadline: options.approvalDeadline,
    }),
  };
  if (spec['model'] !== undefined && spec['model'] !== model)
    throw new UsageError(`"${options.spec}" is for model ${JSON.stringify(spec['model'])}, not "${model}"`);
  const input = { ...spec, ...given(flags), model };
  const parsed = DeployInput.safeParse(input);
  if (!parsed.success) throw new UsageError(describeIssues(parsed.error));
  return input as DeployRequest;
}

/** Steps without a strategy named are those of a canary; another kind than the spec's has none of its fields. */
function strategyOf(spec: unknown, { strategy, canarySteps: steps }: DeployOptions): unknown {
  const kind = strategy ?? (steps && 'canary');
  if (kind === undefined) return undefined;
  const same = typeof spec === 'object' && spec !== null && 'kind' in spec && spec.kind === kind;
  return { ...(same ? spec : {}), kind, ...(steps && { steps }) };
}

/** The members that have a value. */
const given = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

function merged(spec: unknown, flags: Record<string, unknown>): unknown {
  const set = given(flags);
  if (Object.keys(set).length === 0) return undefined;
  return { ...(typeof spec === 'object' ? spec : {}), ...set };
}
