import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describeIssues } from '../contract/deploy.js';
import { SlipwayError } from '../contract/errors.js';
import { Stack } from '../contract/stack.js';

/** Folder that `slipway up` keeps its state in: `SLIPWAY_HOME`, else `.slipway` in the current folder. */
export const slipwayHome = (): string => resolve(process.env['SLIPWAY_HOME'] || '.slipway');

/** File that configures every Slipway process: `SLIPWAY_STACK`, else `stack.json` in {@link slipwayHome}. */
export const stackFile = (): string => process.env['SLIPWAY_STACK'] || resolve(slipwayHome(), 'stack.json');

/** Reads and validates the stack file. Throws `NotFound` or `InvalidInput` naming the file and the field. */
export async function loadStack(file = stackFile()): Promise<Stack> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    throw new SlipwayError('NotFound', `no stack at "${file}": run "slipway up" first`, {}, { cause });
  }
  const parsed = Stack.safeParse(JSON.parse(text));
  if (!parsed.success)
    throw new SlipwayError('InvalidInput', `reading "${file}": ${describeIssues(parsed.error)}`);
  return parsed.data;
}
