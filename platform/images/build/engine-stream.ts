import type { IncomingMessage } from 'node:http';

/** One line of a stream of the Docker engine. https://docs.docker.com/reference/api/engine/ */
export type EngineLine = {
  id?: string;
  status?: string;
  aux?: unknown;
  error?: string;
  errorDetail?: { message?: string };
  progressDetail?: { current?: number; total?: number };
};

/** The engine said in its stream that what it did failed; the response itself had begun well. */
export class EngineStreamError extends Error {
  override readonly name = 'EngineStreamError';
}

/**
 * Lines of a build, pull or push. An engine that fails midway says so in a line of a stream that itself ends well:
 * every line is looked at, and the first `error` thrown as {@link EngineStreamError}.
 */
export async function* engineLines(stream: NodeJS.ReadableStream): AsyncGenerator<EngineLine> {
  let rest = '';
  for await (const chunk of (stream as IncomingMessage).setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield checked(line);
  }
  if (rest.trim() !== '') yield checked(rest);
}

function checked(text: string): EngineLine {
  const line = JSON.parse(text) as EngineLine;
  const error = line.errorDetail?.message ?? line.error;
  if (error !== undefined) throw new EngineStreamError(error.trim());
  return line;
}
