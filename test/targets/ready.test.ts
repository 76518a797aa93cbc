import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import Docker from 'dockerode';
import { SlipwayError } from '../../contract/errors.js';
import type { ServeSpec } from '../../contract/deploy.js';
import type { ImageRef } from '../../contract/names.js';
import type { Progress } from '../../contract/pipeline.js';
import { engineOptions } from '../../platform/targets/engine.js';
import { whyNotReady } from '../../platform/targets/readiness.js';
import { testStack } from '../support/stack.js';
import { untilTrue } from '../support/until.js';
import { probeImage, type Behaviour } from './probe.js';
import { Yard } from './yard.js';

const stack = await testStack();
const never = new AbortController().signal;

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
  const soon = 120_000;

  test('a slow model within its budget is waited for, and progress shown', async () => {
    const { set, replicas } = await started(
      { env: { PROBE_READY_FILE: '/tmp/ready' } },
      { replicas: 2, ...generous },
    );
    const messages: string[] = [];
    const watch = { ...yard.watch(), onProgress: ({ message }: Progress) => void messages.push(message) };
    const waited = yard.target.awaitReady(set, replicas, watch);
    for (const [at, { name }] of replicas.entries()) {
      // More than once: it goes on telling while nothing changes.
      const told = () => messages.filter((message) => message.startsWith(`${at} of 2 ready`)).length;
      await untilTrue(() => told() >= 2, soon);
      await yard.docker('exec', name, 'touch', '/tmp/ready');
    }
    assert.equal(await waited, 2);
    assert.match(messages.at(-1)!, /^2 of 2 ready/);
  });

  test('a model slower than its budget is refused with its last answer and its logs', async () => {
    const { set, replicas } = await started({ env: { PROBE_READY_FILE: '/never' } }, within('2s'));
    await untilTrue(
      async () => (await whyNotReady(replicas[0]!.url, never))?.startsWith('503') ?? false,
      soon,
    );
    const began = Date.now();
    const error = await refusal(yard.target.awaitReady(set, replicas, yard.watch()));
    assert.ok(Date.now() - began < soon);
    assert.match(error.message, /start-up budget of 2s; last answer: 503 \{"state": "loading"\}/);
    assert.deepEqual(error.details['logs'], ['probe starting as iris']);
  });

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

  for (const role of ['serve', 'check'] as const)
    test(`a crash at start is told with exit code and log lines, long before its budget ends (${role})`, async () => {
      const { set, replicas } = await started({ env: { PROBE_EXIT: '3' } }, generous, role);
      const began = Date.now();
      const error = await refusal(yard.target.awaitReady(set, replicas, yard.watch()));
      assert.ok(Date.now() - began < soon);
      assert.match(error.message, /ended with exit code 3: ModuleNotFoundError: No module named 'nonsense'/);
      assert.equal(error.details['exitCode'], 3);
      assert.equal(error.details['oomKilled'], false);
      assert.ok(
        (error.details['logs'] as string[]).includes("ModuleNotFoundError: No module named 'nonsense'"),
      );
      // Its two streams reach the engine each by itself: their order is not known, the number of lines is.
      const starts = (error.details['logs'] as string[]).filter((line) => line === 'probe starting as iris');
      assert.equal(starts.length, 1, 'nothing of a later start');
      const evidence = await yard.target.evidence(replicas[0]!);
      assert.match(evidence, /exit code: 3/);
      assert.match(evidence, /probe starting as iris/);
    });

  test('a crash between two looks, restarted since, is told with its exit code', async () => {
    const { set, replicas } = await started({ env: { PROBE_EXIT: '5', PROBE_EXIT_AFTER: '1' } }, generous);
    const restarts = () => yard.docker('inspect', '-f', '{{.RestartCount}}', replicas[0]!.name);
    await untilTrue(async () => Number(await restarts()) > 0, soon);
    const error = await refusal(yard.target.awaitReady(set, replicas, yard.watch()));
    assert.equal(error.details['exitCode'], 5);
  });

  test('a model too large for its memory is told as such', async () => {
    const { set, replicas } = await started(
      { env: { PROBE_EAT_MB: '200' } },
      { resources: { cpu: 1, memory: '64Mi' }, ...generous },
    );
    const began = Date.now();
    const error = await refusal(yard.target.awaitReady(set, replicas, yard.watch()));
    assert.ok(Date.now() - began < soon);
    assert.match(error.message, /ran out of memory \(limit 64Mi\)/);
    assert.equal(error.details['oomKilled'], true);
    assert.equal(error.details['exitCode'], 137);
    assert.ok((error.details['logs'] as string[]).includes('loading a large model'));
  });

  test('one of two that fails ends the wait for both', async () => {
    const good = await started({ env: { PROBE_READY_FILE: '/never' } }, generous);
    const bad = await started({ env: { PROBE_EXIT: '1' } }, generous);
    const began = Date.now();
    const error = await refusal(
      yard.target.awaitReady(good.set, [...good.replicas, ...bad.replicas], yard.watch()),
    );
    assert.equal(error.details['replica'], bad.replicas[0]!.name);
    assert.ok(Date.now() - began < soon);
  });

  test('cancelled while waiting, it ends at once', async () => {
    const { set, replicas } = await started({ env: { PROBE_READY_FILE: '/never' } }, generous);
    const cancel = new AbortController();
    setTimeout(() => cancel.abort(new Error('cancelled')), 700);
    const began = Date.now();
    await assert.rejects(yard.target.awaitReady(set, replicas, yard.watch(cancel.signal)), /cancelled/);
    assert.ok(Date.now() - began < soon);
  });

  test('a container that someone stopped or removed is a passing fault, and started again', async () => {
    const { set, replicas } = await started({});
    await yard.docker('stop', '-t', '0', replicas[0]!.name);
    await passing(yard.target.awaitReady(set, replicas, yard.watch()), /was stopped/);
    await yard.docker('rm', '-f', replicas[0]!.name);
    await passing(yard.target.awaitReady(set, replicas, yard.watch()), /was removed/);
    await yard.up(set);
  });
});

async function refusal(work: Promise<unknown>): Promise<SlipwayError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof SlipwayError, String(error));
    assert.equal(error.type, 'RolloutFailed');
    return error;
  }
  assert.fail('was not refused');
}

async function passing(work: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof Error && !(error instanceof SlipwayError), String(error));
    assert.match(error.message, message);
    return true;
  });
}
