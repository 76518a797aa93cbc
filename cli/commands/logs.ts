import type { Command } from 'commander';
import { withApi } from '../connection.js';
import { plain, printJsonLine } from '../output.js';

type Options = { run?: string; follow?: boolean; json?: boolean };

export function registerLogs(program: Command): void {
  program
    .command('logs')
    .description("a deployment's build log, and what its failed replicas said last")
    .argument('<id>', 'workflow id of the deployment')
    .option('--run <id>', 'run of that workflow (default: the latest)')
    .option('-f, --follow', 'as it grows, until the deployment ends')
    .option('--json', 'a JSON string a line')
    .addHelpText('after', '\nExample:\n  slipway logs deploy/iris/4f2a91c0 --follow')
    .action(async (id: string, { run, follow = false, json }: Options) => {
      await withApi(async (client) => {
        const write = json ? printJsonLine : (line: string) => void process.stdout.write(`${shown(line)}\n`);
        for await (const line of lines(client.logs(id, { follow, ...(run ? { run } : {}) }))) write(line);
      });
    });
}

/** On a terminal a log must not steer it; a file gets it as it is. */
const shown = (line: string): string => (process.stdout.isTTY ? plain(line) : line);

async function* lines(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunks) {
    const whole = (rest + chunk).split('\n');
    rest = whole.pop() ?? '';
    yield* whole;
  }
  if (rest !== '') yield rest;
}
