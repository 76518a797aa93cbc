import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { SlipwayError } from '../../contract/errors.js';
import { engineLines, EngineStreamError } from '../../platform/images/build/engine-stream.js';
import { buildFailure } from '../../platform/images/build/failure.js';
import { BuildProgress } from '../../platform/images/build/progress.js';
import { redactor, secretsOf } from '../../platform/images/build/redact.js';
import { decodeTrace } from '../../platform/images/build/trace.js';

describe('what the engine streams', () => {
  test('is read line by line however it is cut, and an error line fails it', async () => {
    const text =
      '{"status":"größer"}\n\n{"status":"b"}\r\n{"error":"no","errorDetail":{"message":"no space"}}\n';
    for (const size of [1, 3, 1000]) {
      const bytes = Buffer.from(text);
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, (at + 1) * size),
      );
      const seen: unknown[] = [];
      await assert.rejects(
        async () => {
          for await (const line of engineLines(Readable.from(chunks, { objectMode: false }))) seen.push(line);
        },
        (error: unknown) => error instanceof EngineStreamError && error.message === 'no space',
      );
      assert.deepEqual(seen, [{ status: 'größer' }, { status: 'b' }]);
    }
  });

  test('fails for an error without details, and for one in an unfinished last line', async () => {
    for (const text of ['{"error":"bad"}\n', '{"status":"x"}\n{"error":"bad"}'])
      await assert.rejects(async () => {
        for await (const _ of engineLines(Readable.from([text], { objectMode: false })));
      }, /^EngineStreamError: bad$/);
  });
});

describe('a trace of BuildKit', () => {
  // As a 20.10 engine sent it: a step's start, a line of its output, its failure.
  const started =
    'CsgBCkdzaGEyNTY6NmY3NzExMGY3Mjc5YWQ3YzQzY2U1MDBkZmM1YjU3ZDgyNmM2NGQ2NWU3ZDk4ZDIyMTJlZGFiZjBkMzEyMGI5YhJHc2hhMjU2OmIyNDVkNTUyNzA2ZjYxYTdlYjUyM2IxNjk5NjA3NzRjNDc3Yjk1OWZhYmU5OTY4ZTVlZDE4NWI2M2FkYjgxNmIaJltzdGFnZS0wIDMvM10gUlVOIGVjaG8gYmFkID4mMjsgZXhpdCAzKgwI2ueF2AYQsIDk3wI=';
  const printed =
    'Gl8KR3NoYTI1Njo2Zjc3MTEwZjcyNzlhZDdjNDNjZTUwMGRmYzViNTdkODI2YzY0ZDY1ZTdkOThkMjIxMmVkYWJmMGQzMTIwYjliEgwI2ueF2AYQ9L+BmAMYAiIEYmFkCg==';
  const failed =
    'Cp8CCkdzaGEyNTY6NmY3NzExMGY3Mjc5YWQ3YzQzY2U1MDBkZmM1YjU3ZDgyNmM2NGQ2NWU3ZDk4ZDIyMTJlZGFiZjBkMzEyMGI5YhJHc2hhMjU2OmIyNDVkNTUyNzA2ZjYxYTdlYjUyM2IxNjk5NjA3NzRjNDc3Yjk1OWZhYmU5OTY4ZTVlZDE4NWI2M2FkYjgxNmIaJltzdGFnZS0wIDMvM10gUlVOIGVjaG8gYmFkID4mMjsgZXhpdCAzKgwI2ueF2AYQsIDk3wIyDAja54XYBhDumMObAzpHZXhlY3V0b3IgZmFpbGVkIHJ1bm5pbmcgWy9iaW4vc2ggLWMgZWNobyBiYWQgPiYyOyBleGl0IDNdOiBleGl0IGNvZGU6IDM=';

  test('becomes log lines, step k of n, and the step that failed', () => {
    const lines: string[] = [];
    const progress = new BuildProgress((line) => lines.push(line), redactor([]));
    for (const aux of [started, printed, failed]) progress.see(decodeTrace(aux));
    assert.deepEqual(lines.slice(0, 2), ['[stage-0 3/3] RUN echo bad >&2; exit 3', 'bad']);
    assert.match(lines[2]!, /^FAILED .*exit code: 3$/);
    assert.deepEqual(progress.progress, {
      message: 'step 3 of 3: RUN echo bad >&2; exit 3 · bad',
      done: 2,
      total: 3,
      unit: 'steps',
    });
    assert.deepEqual(progress.failed, { step: '[stage-0 3/3] RUN echo bad >&2; exit 3', lines: ['bad'] });
  });

  test('tells what is the build and what is the engine', () => {
    const progress = new BuildProgress(() => undefined, redactor([]));
    const of = (message: string) => buildFailure(new EngineStreamError(message), progress, redactor([]));
    assert.ok(of('executor failed running [x]: exit code: 1') instanceof SlipwayError);
    assert.match(of('executor failed running [x]: exit code: 137').message, /out of memory/);
    const full = of('write /x: no space left on device');
    assert.ok(full instanceof SlipwayError && full.type === 'BuildFailed');
    assert.match(full.message, /disk of the build engine is full/);
    for (const passing of ['context canceled', 'rpc error: code = Unavailable desc = transport is closing'])
      assert.ok(!(of(passing) instanceof SlipwayError), passing);
  });
});

test('credentials are taken out of every line, however they are written', () => {
  const secrets = secretsOf({
    network: 'default',
    pipIndex: 'https://reader:p%40ss-word@index.example/simple',
    httpProxy: 'http://token-only@proxy.example:3128',
    httpsProxy: 'http://proxy.example:3128',
  });
  const redact = redactor(secrets);
  for (const text of [
    'Looking in indexes: https://reader:p%40ss-word@index.example/simple',
    'tried p@ss-word',
    'via http://token-only@proxy.example:3128',
    'user token-only',
    '--extra-index-url https://someone:else@other.example/simple',
  ])
    assert.doesNotMatch(redact(text), /p%40ss|p@ss|token-only|else@/, text);
  assert.equal(redact('https://pypi.org/simple a@b.example'), 'https://pypi.org/simple a@b.example');
});
