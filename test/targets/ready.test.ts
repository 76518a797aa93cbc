import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import Docker from 'dockerode';
import { SlipwayError } from '../../contract/errors.js';
import type { ServeSpec } from '../../contract/deploy.js';
import type { ImageRef } from '../../contract/names.js';
import { engineOptions } from '../../platform/targets/engine.js';
import { testStack } from '../support/stack.js';
import { probeImage, type Behaviour } from './probe.js';
import { Yard } from './yard.js';

const stack = await testStack();

// Most of it is waiting.
describe('waiting until replicas are ready', { concurrency: 3 }, () => {
  let yard: Yard;
  let token = 0;
  before(() => {
    yard = new Yard(stack);
  });
  after(async () => await yard.close());

  const started = async (
    behaviour: Behaviour,
    changes: Partial<ServeSpec> = {},
    role?: 'serve' | 'check',
  ) => {
    const image: ImageRef = await probeImage(stack, behaviour);
    token += 1;
    const set = yard.set(image, changes, role, token);
    return { set, replicas: await yard.start(set) };
  };
  const within = (startupBudget: string) => ({
    verify: { latencyBudget: '1s', startupBudget, sourceCheck: true },
  });
  /** Far from over when a test ends that is told before it. */
  const generous = within('10m');

  test('a model that was ready, and does not answer for a moment, is waited for beyond its budget', async () => {
    const { set: patient, replicas } = await started({}, generous);
    await yard.target.awaitReady(patient, replicas, yard.watch());
    await delay(6_000);
    const set = { ...patient, spec: { ...patient.spec, ...within('6s') } };
    const container = new Docker(engineOptions(stack.docker)).getContainer(replicas[0]!.name);
    await container.pause();
    const waited = yard.target.awaitReady(set, replicas, yard.watch());
    // It has not answered then, and is given up 5 s after the first look.
    await delay(2_500);
    await container.unpause();
    assert.equal(await waited, 1);
  });

  test('a container that someone stopped is a passing fault, and started again', async () => {
    const { set, replicas } = await started({});
    await yard.docker('stop', '-t', '0', replicas[0]!.name);
    await passing(yard.target.awaitReady(set, replicas, yard.watch()), /was stopped/);
    await yard.up(set);
  });
});

async function passing(work: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof Error && !(error instanceof SlipwayError), String(error));
    assert.match(error.message, message);
    return true;
  });
}
