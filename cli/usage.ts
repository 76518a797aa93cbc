import { InvalidArgumentError } from 'commander';
import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { describeIssues } from '../contract/deploy.js';
import { messageOf } from '../contract/errors.js';

/** Called with something that cannot mean anything; exit status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** An option or argument of this schema, refused by commander with the schema's own words. */
export const argument =
  <T extends z.ZodType>(schema: T) =>
  (text: string): z.output<T> => {
    const parsed = schema.safeParse(text);
    if (!parsed.success) throw new InvalidArgumentError(describeIssues(parsed.error));
    return parsed.data;
  };

/** An option that holds JSON. */
export function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`not JSON: ${messageOf(error)}`);
  }
}

/** A number, as an option. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('not a number');
  return value;
}

/** The object in a YAML or JSON file. */
export async function readObject(file: string): Promise<Record<string, unknown>> {
  const { parse } = await import('yaml');
  try {
    const value: unknown = parse(await readFile(file, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch (cause) {
    throw new UsageError(`reading "${file}": ${messageOf(cause)}`, { cause });
  }
  throw new UsageError(`reading "${file}": it holds no object`);
}
