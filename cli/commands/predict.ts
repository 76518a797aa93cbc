import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { messageOf } from '../../contract/errors.js';
import { Name } from '../../contract/names.js';
import { withApi } from '../connection.js';
import { print, printJson } from '../output.js';
import { argument, json as parseJson, UsageError } from '../usage.js';

type Options = { input?: unknown; file?: string; json?: boolean };

export function registerPredict(program: Command): void {
  program
    .command('predict')
    .description('send one request to a service, by way of the gateway')
    .argument('<service>', 'name of the service', argument(Name))
    .option('--input <json>', 'the input', parseJson)
    .option('--file <file>', 'a file with the input as JSON')
    .option('--json', 'print the whole answer, {"output": …}')
    .addHelpText('after', "\nExample:\n  slipway predict iris --input '[[5.1,3.5,1.4,0.2]]'")
    .action(async (service: string, options: Options) => {
      const body = { input: await inputOf(options) };
      const answer = await withApi((client) => client.call('predict', { params: { service }, body }));
      if (options.json) printJson(answer);
      else print(JSON.stringify(answer.output));
    });
}

async function inputOf({ input, file }: Options): Promise<unknown> {
  if ((input === undefined) === (file === undefined))
    throw new UsageError('give the input with --input or --file');
  if (file === undefined) return input;
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new UsageError(`reading "${file}": ${messageOf(cause)}`, { cause });
  }
}
