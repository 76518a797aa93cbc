import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { DeterminismViolationError } from '@temporalio/workflow';
import { Worker } from '@temporalio/worker';
import { workflowBundle } from '../../workers/workflow-bundle.js';
import '../support/quiet-temporal.js';
import { readHistories } from './histories.js';

const { codePath } = await workflowBundle();
const histories = await readHistories();

describe('the workflows of today', { timeout: 300_000 }, () => {
  test('go on from where every recorded history ends', async () => {
    const failed = new Map<string, string>();
    const workflowBundle = { codePath };
    for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, replayed()))
      if (error) failed.set(workflowId, error.message);
    assert.deepEqual(failed, new Map());
    assert.ok(histories.length > 0);
  });

  test('with two stages swapped do not: a deployment under way would be stuck', async () => {
    const code = (await readFile(codePath, 'utf8')).replaceAll(/downloadSource|downloadModel/g, (name) =>
      name === 'downloadSource' ? 'downloadModel' : 'downloadSource',
    );
    const workflowBundle = { code };
    const failed: string[] = [];
    for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, replayed()))
      if (error instanceof DeterminismViolationError) failed.push(workflowId);
    assert.deepEqual(
      failed,
      histories.map(({ name }) => name).filter((name) => name.startsWith('deployment')),
    );
  });
});

const replayed = () => histories.map(({ name, history }) => ({ workflowId: name, history }));
