import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import type { ApiClient } from '../api/client.js';
import { describeIssues } from '../contract/deploy.js';
import { messageOf, SlipwayError } from '../contract/errors.js';
import { Stack } from '../contract/stack.js';

const Where = Stack.pick({ api: true, token: true, gateway: true, temporal: true });
type Where = z.infer<typeof Where>;

/**
 * Does something with the API, and closes the connection: `SLIPWAY_API` with `SLIPWAY_TOKEN`, else the stack file
 * (`SLIPWAY_STACK`, else `stack.json` in `SLIPWAY_HOME` or `.slipway`). Throws `NotFound` when there is neither.
 */
export async function withApi<T>(act: (client: ApiClient) => Promise<T>): Promise<T> {
  const { url, token } = await whereIsApi();
  // Loaded when asked for: help, and what is called wrongly, need no HTTP.
  const { ApiClient } = await import('../api/client.js');
  const client = new ApiClient(url, token);
  try {
    return await act(client);
  } finally {
    await client.close();
  }
}

async function whereIsApi(): Promise<{ url: string; token: string }> {
  const { SLIPWAY_API, SLIPWAY_TOKEN } = process.env;
  if (!SLIPWAY_API) {
    const { api, token } = await readStack();
    return { url: api, token };
  }
  if (!z.url({ protocol: /^https?$/ }).safeParse(SLIPWAY_API).success)
    throw new SlipwayError(
      'InvalidInput',
      `SLIPWAY_API: "${SLIPWAY_API}" is not a URL like http://host:port`,
    );
  if (!SLIPWAY_TOKEN) throw new SlipwayError('NotFound', 'SLIPWAY_API is set, but SLIPWAY_TOKEN is not');
  return { url: SLIPWAY_API, token: SLIPWAY_TOKEN };
}

/** What the stack file says of API, gateway and Temporal. */
export async function readStack(): Promise<Where> {
  const file =
    process.env['SLIPWAY_STACK'] ?? resolve(process.env['SLIPWAY_HOME'] ?? '.slipway', 'stack.json');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new SlipwayError(
      'NotFound',
      missing
        ? `there is no stack at "${file}": run "slipway up" here, or set SLIPWAY_API and SLIPWAY_TOKEN`
        : `reading "${file}": ${messageOf(cause)}`,
      {},
      { cause },
    );
  }
  const parsed = Where.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new SlipwayError(
    'InvalidInput',
    `reading "${file}": ${describeIssues(parsed.error)}; "slipway up" writes it anew`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
