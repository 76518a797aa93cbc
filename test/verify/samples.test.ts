import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SlipwayError } from '../../contract/errors.js';
import { assertVerified, judgeSamples } from '../../platform/verify/samples.js';

type Answer = (input: unknown, response: ServerResponse, nth: number) => unknown;

describe('judging samples on a replica', () => {
  let server: Server;
  let url: string;
  let answer: Answer;
  let inputs: unknown[];
  before(async () => {
    server = createServer((request, response) => void serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  });
  after(() => server.close());
  beforeEach(() => {
    inputs = [];
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === '/readyz') return void response.end('{"state":"done"}');
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const { input } = JSON.parse(text) as { input: unknown };
    inputs.push(input);
    const output = await answer(input, response, inputs.length);
    if (!response.writableEnded && !response.destroyed) response.end(JSON.stringify({ output }));
  }

  const watch = (signal = new AbortController().signal) => ({ signal, onProgress: () => undefined });
  const sample = (input: unknown, expect?: unknown, tolerance = 0) => ({ input, expect, tolerance });
  const judge = (samples: ReturnType<typeof sample>[], latencyBudget = '1s') =>
    judgeSamples(url, { samples, latencyBudget }, watch());

  test('right answers pass; the first input goes once ahead, unjudged', async () => {
    answer = (input) => input;
    const results = await judge([sample([1], [1]), sample({ a: 2 })]);
    assert.deepEqual(
      results.map(({ ok }) => ok),
      [true, true],
    );
    assert.deepEqual(inputs, [[1], [1], { a: 2 }]);
    assertVerified(results);
  });

  test('no samples: nothing is asked', async () => {
    assert.deepEqual(await judgeSamples(url, { latencyBudget: '1s' }, watch()), []);
    assert.deepEqual(inputs, []);
  });

  test('a wrong answer is told with expected and got', async () => {
    answer = (input) => (input === 2 ? [1] : [0]);
    const error = refusal(await judge([sample(1, [0]), sample(2, [0]), sample(2, [0])]));
    assert.equal(error.message, 'sample 2: expected [0], got [1] (and 1 more)');
    const [first] = error.details['samples'] as { sample: number; expected: unknown; got: unknown }[];
    assert.equal(first!.sample, 2);
    assert.deepEqual(first!.expected, [0]);
    assert.deepEqual(first!.got, [1]);
  });

  test('where two long answers differ is said', async () => {
    const numbers = Array.from({ length: 100 }, (_, at) => at);
    answer = () => numbers.with(70, -1);
    assert.match(refusal(await judge([sample(0, numbers)])).message, /differing at \[70\]$/);
  });

  test('a slow first answer is forgiven, a slow later one is not', async () => {
    answer = async (_input, _response, nth) => {
      await sleep(nth === 1 ? 600 : 10);
      return 1;
    };
    assertVerified(await judge([sample(0, 1)], '300ms'));
    answer = async () => {
      await sleep(400);
      return 1;
    };
    const error = refusal(await judge([sample(0, 1)], '300ms'));
    assert.match(error.message, /sample 1: answered after \d+ ms, the latency budget is 300 ms/);
  });

  test('an error of the model is told with its words', async () => {
    answer = (_input, response) => response.writeHead(500).end('ValueError: shape');
    assert.match(refusal(await judge([sample(0, 1)])).message, /sample 1: answered 500: ValueError: shape/);
  });

  test('NaN and other things that are no JSON are refused', async () => {
    answer = (_input, response) => response.end('{"output": NaN}');
    assert.match(refusal(await judge([sample(0)])).message, /not \{"output": …\} in JSON: \{"output": NaN\}/);
    answer = (_input, response) => response.end('{"result": 1}');
    assert.match(refusal(await judge([sample(0)])).message, /not \{"output"/);
  });

  test('no answer at all ends after ten seconds', async () => {
    answer = async (_input, response, nth) => {
      if (nth > 1) await new Promise((resolve) => response.on('close', resolve));
      return 1;
    };
    assert.match(refusal(await judge([sample(0, 1)], '100ms')).message, /sample 1: no answer within 10 s/);
  });

  test('a connection that is dropped once is tried again, twice is the model’s fault', async () => {
    answer = (_input, response, nth) => (nth === 2 ? response.destroy() : 1);
    assertVerified(await judge([sample(0, 1)]));
    answer = (_input, response) => response.destroy();
    assert.match(refusal(await judge([sample(0, 1)])).message, /ended without an answer, twice/);
  });

  test('a long answer is cut in what is kept', async () => {
    answer = () => 'x'.repeat(100_000);
    const results = await judge([sample(0, 'y'.repeat(100_000))]);
    const error = refusal(results);
    assert.ok(JSON.stringify(error.details).length < 5_000);
    assert.ok(error.message.length < 600);
  });

  test('cancelled, it ends at once', async () => {
    let end: () => void = () => undefined;
    answer = async () => await new Promise<void>((resolve) => (end = resolve));
    const cancel = new AbortController();
    setTimeout(() => cancel.abort(new Error('cancelled')), 100);
    // It is not answered before that.
    await assert.rejects(
      judgeSamples(url, { samples: [sample(0)], latencyBudget: '1h' }, watch(cancel.signal)),
      /cancelled/,
    );
    end();
  });
});

function refusal(results: Parameters<typeof assertVerified>[0]): SlipwayError {
  try {
    assertVerified(results);
  } catch (error) {
    assert.ok(error instanceof SlipwayError);
    assert.equal(error.type, 'VerificationFailed');
    return error;
  }
  assert.fail('was not refused');
}
