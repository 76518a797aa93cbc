import { request, type Dispatcher } from 'undici';
import { z } from 'zod';
import { messageOf, SlipwayError } from '../../contract/errors.js';
import type { Analysis, PrometheusCheck } from '../../contract/strategy.js';
import { Forbidden } from './destinations.js';
import { wantedOf, within, type Measurement } from './measurement.js';

type Prometheus = NonNullable<Analysis['prometheus']>;
/** What the placeholders of a query stand for. */
export type Subject = { service: string; release: string; live: string };

/** A Prometheus, and what requests to it go through. */
type Address = { url: string; via: Dispatcher; signal: AbortSignal };

/** Longest a query may take, in milliseconds. */
const timeout = 10_000;
const maxBytes = 1024 * 1024;

/** Measures every check. What Prometheus does not answer with one number is missing. */
export async function judgeQueries(
  { url, checks }: Prometheus,
  subject: Subject,
  via: Dispatcher,
  signal: AbortSignal,
): Promise<Measurement[]> {
  return await Promise.all(checks.map((check) => judgeQuery({ url, via, signal }, check, subject)));
}

async function judgeQuery(
  at: Address,
  { name, query, min, max }: PrometheusCheck,
  subject: Subject,
): Promise<Measurement> {
  try {
    return within(name, await instant(at, fill(query, subject)), { min, max });
  } catch (error) {
    at.signal.throwIfAborted();
    return { check: name, wanted: wantedOf({ min, max }), verdict: 'missing', why: messageOf(error) };
  }
}

/**
 * Asks every query once ahead. Throws `InvalidInput` for one that Prometheus does not understand, and for a URL that
 * leads to where none may; that Prometheus is away just now is a warning.
 */
export async function admitQueries(
  { url, checks }: Prometheus,
  via: Dispatcher,
  signal: AbortSignal,
): Promise<string[]> {
  const subject = { service: 'service', release: 'service.r2', live: 'service.r1' };
  for (const [i, { name, query }] of checks.entries())
    try {
      await instant({ url, via, signal }, fill(query, subject));
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof BadQuery)
        throw new SlipwayError(
          'InvalidInput',
          `strategy.analysis.prometheus.checks.${i}.query ("${name}"): ${error.message}`,
        );
      if (error instanceof Unanswered && error.cause instanceof Forbidden)
        throw new SlipwayError('InvalidInput', `strategy.analysis.prometheus.url: ${error.message}`);
      if (error instanceof Unanswered) return [`strategy.analysis.prometheus: ${error.message}`];
    }
  return [];
}

/** Prometheus does not understand the query. */
class BadQuery extends Error {}
/** There is no Prometheus, or it did not answer. */
class Unanswered extends Error {}

/** Puts names into a query, where they are values of label strings. Throws when one could end its string. */
export function fill(query: string, subject: Subject): string {
  return query.replace(placeholder, (_match, name: keyof Subject) => {
    const value = subject[name];
    if (!/^[\w.-]*$/.test(value)) throw new TypeError(`not a name: ${JSON.stringify(value)}`);
    return value;
  });
}

const placeholder = /\{\{\s*(service|release|live)\s*\}\}/g;

/** https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries */
const Answer = z.discriminatedUnion('status', [
  z.object({ status: z.literal('error'), errorType: z.string(), error: z.string() }),
  z.object({
    status: z.literal('success'),
    data: z.discriminatedUnion('resultType', [
      z.object({ resultType: z.literal('scalar'), result: z.tuple([z.number(), z.string()]) }),
      z.object({
        resultType: z.literal('vector'),
        result: z.array(z.object({ value: z.tuple([z.number(), z.string()]) })),
      }),
      z.object({ resultType: z.enum(['matrix', 'string']), result: z.unknown() }),
    ]),
  }),
]);

/** The one number that a query stands for now. Throws when there is none, or several. */
async function instant(at: Address, query: string): Promise<number> {
  const answer = await ask(at, query);
  if (answer.status === 'error') {
    const said = `Prometheus says ${answer.errorType}: ${answer.error.slice(0, 300)}`;
    throw answer.errorType === 'bad_data' ? new BadQuery(said) : new Error(said);
  }
  const { data } = answer;
  if (data.resultType === 'scalar') return finite(data.result[1]);
  if (data.resultType !== 'vector') throw new BadQuery(`the result is a ${data.resultType}, not one number`);
  const [first, ...others] = data.result;
  if (!first) throw new Error('the query has no result');
  if (others.length > 0)
    throw new BadQuery(`the query has ${data.result.length} results instead of one: aggregate them`);
  return finite(first.value[1]);
}

/** Prometheus writes numbers as text, and knows `NaN` and `+Inf`. */
function finite(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new Error(`${text} is no measurement`);
  return value;
}

async function ask({ url, via, signal }: Address, query: string): Promise<z.infer<typeof Answer>> {
  const bound = AbortSignal.timeout(timeout);
  let text: string;
  let status: number;
  try {
    // Redirects are not followed: only the address that was asked for is asked.
    const response = await request(new URL('api/v1/query', url.endsWith('/') ? url : `${url}/`), {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ query }).toString(),
      signal: AbortSignal.any([signal, bound]),
      dispatcher: via,
      reset: true,
    });
    status = response.statusCode;
    text = await limited(response.body);
  } catch (cause) {
    signal.throwIfAborted();
    const why = bound.aborted ? `no answer within ${timeout / 1_000} s` : messageOf(cause);
    throw new Unanswered(`asking Prometheus at ${url}: ${why}`, { cause });
  }
  const parsed = Answer.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new Unanswered(`asking Prometheus at ${url}: it answered ${status}, and not as Prometheus does`);
}

async function limited(body: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of body) {
    size += piece.length;
    if (size > maxBytes) throw new Error(`the answer is larger than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
