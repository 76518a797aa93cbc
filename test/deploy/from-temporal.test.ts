import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { Shipyard } from '../support/deployments.js';
import { toolPath } from '../support/stack.js';

describe('from the temporal CLI', () => {
  let yard: Shipyard;
  let model: string;
  before(async () => {
    yard = await Shipyard.onStack();
    model = await yard.greeter('cli');
  });
  after(() => yard.close());

  const temporal = async (...args: string[]) =>
    await execa(await toolPath('temporal'), [...args, '--address', yard.stack.temporal.address], {
      reject: false,
    });
  const execute = (id: string, input: unknown) =>
    temporal(
      'workflow',
      'execute',
      '--type',
      'deployModel',
      '--task-queue',
      'slipway',
      '--workflow-id',
      id,
      '--input',
      JSON.stringify(input),
    );

  test('a deployment runs under any workflow id, with only the model named', async () => {
    const { exitCode, stdout } = await execute('whatever id / people choose', { model });
    assert.equal(exitCode, 0, stdout);
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Hello, Ada!');
  });

  test('it is found by its search attributes, and its details tell the story', async () => {
    const { stdout } = await temporal(
      'workflow',
      'list',
      '--query',
      `SlipwayService="${model}"`,
      '--output',
      'json',
    );
    assert.match(stdout, /whatever id/);
  });

  for (const [what, input, field] of [
    ['an unknown field', { replica: 2 }, /replica/],
    ['a bad value', { replicas: 0 }, /replicas/],
    ['a bad nested value', { verify: { latencyBudget: 'soon' } }, /verify\.latencyBudget/],
    ['a date that is not one', { weights: '20260230' }, /weights/],
  ] as const)
    test(`${what} fails at once and is named`, async () => {
      const id = yard.name('bad');
      const { exitCode, stdout, stderr } = await execute(id, { model, ...input });
      assert.notEqual(exitCode, 0);
      assert.match(stdout + stderr, field);
      const failure = await yard.failure(yard.temporal.workflow.getHandle(id));
      assert.equal(failure.type, 'InvalidInput');
    });

  test('a model that is not there is said so, with what was looked for', async () => {
    const { stdout, stderr } = await execute(yard.name('none'), { model: 'no-such-model' });
    assert.match(stdout + stderr, /no-such-model\/src\/no-such-model\.zip/);
  });
});
