import { userInfo } from 'node:os';
import type { Command } from 'commander';
import type { DeploymentState } from '../../contract/deployment.js';
import { withApi } from '../connection.js';
import { print, printJson } from '../output.js';

/** What each does, and what is said when it is done. */
const verbs = {
  approve: ['let a deployment that waits for approval go on', 'approved'],
  reject: ['end a deployment that waits for approval, and undo what it did', 'rejected'],
  pause: [
    'stop a deployment before its next stage, or in its canary step',
    'pausing before the next stage; a canary step waits where it is',
  ],
  resume: ['let a paused deployment, or a canary step that waits for it, go on', 'resumed'],
  skip: ['end the present canary step at once, without its judgement', 'skipped'],
  abort: [
    'end a deployment as failed and undo what it did; one that has ended stays as it is',
    'aborting; what it did is being undone',
  ],
  cancel: [
    'cancel a deployment and undo what it did; one that has ended stays as it is',
    'cancelling; what it did is being undone',
  ],
} as const;
type Verb = keyof typeof verbs;
type Options = { reason?: string; run?: string; json?: boolean };

/** The commands that steer a running deployment: one shape, seven verbs. */
export function registerSteer(program: Command): void {
  for (const verb of Object.keys(verbs) as Verb[]) {
    const [description, done] = verbs[verb];
    program
      .command(verb)
      .description(description)
      .argument('<id>', 'workflow id of the deployment')
      .option('--reason <text>', 'kept with the deployment')
      .option('--run <id>', 'run of that workflow (default: the latest)')
      .option('--json', 'print the answer as JSON')
      .addHelpText('after', `\nExample:\n  slipway ${verb} deploy/iris/4f2a91c0`)
      .action(async (id: string, { reason = '', run, json }: Options) => {
        const body = { by: userName(), reason };
        const answer = await withApi((client) =>
          client.call(verb, { params: { id }, query: run ? { run } : {}, body }),
        );
        if (json) return printJson(answer);
        const over = 'requested' in answer && !answer.requested;
        print(over ? nothingTo(verb, 'state' in answer ? answer.state : null) : done);
      });
  }
}

function nothingTo(verb: Verb, state: DeploymentState | null): string {
  if (state === null) return `the deployment has ended; there is nothing to ${verb}`;
  if (state === 'undoing') return 'what the deployment did is being undone already';
  return ['succeeded', 'failed', 'cancelled', 'terminated'].includes(state)
    ? `the deployment has ended (${state}); there is nothing to ${verb}`
    : 'the deployment is ending already';
}

/** In a container there may be a number only. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return process.env['USER'] ?? '';
  }
}
