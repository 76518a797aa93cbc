import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { after, before, describe, test } from 'node:test';
import type { DeploymentSummary, ServiceView } from '../../contract/api.js';
import type { DeploymentStatus } from '../../contract/deployment.js';
import type { PinnedArtifact } from '../../contract/pipeline.js';
import type { Plan } from '../../contract/plan.js';
import { execa } from 'execa';
import { Shipyard } from '../support/deployments.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { untilTrue } from '../support/until.js';
import { TestApi } from '../api/server.js';
import { Slipway, type Ended } from './slipway.js';

describe('on the command line', () => {
  let yard: Shipyard;
  let api: TestApi;
  let folder: string;
  let model: string;
  let env: NodeJS.ProcessEnv;
  before(async () => {
    yard = await Shipyard.open();
    api = await TestApi.start(yard.stack);
    env = { SLIPWAY_API: api.url, SLIPWAY_TOKEN: yard.stack.token };
    folder = await mkdtemp(join(tmpdir(), 'slipway-cli-'));
    model = yard.name('cli');
  });
  after(async () => {
    await api.close();
    await yard.close();
    await rm(folder, { recursive: true, force: true });
  });

  const save = async (name: string, bytes: Buffer): Promise<string> => {
    const file = join(folder, name);
    await writeFile(file, bytes);
    return file;
  };
  const run = (...args: string[]): Promise<Ended> => Slipway.run(args, env);
  const done = async (...args: string[]): Promise<Ended> => {
    const ended = await run(...args);
    assert.equal(ended.status, 0, ended.stderr + ended.stdout);
    return ended;
  };
  /** The one document that a command with `--json` prints. */
  const json = async <T>(...args: string[]): Promise<T> =>
    JSON.parse((await done(...args, '--json')).stdout) as T;

  test('source and weights are uploaded', async () => {
    const source = await save('source.zip', await greeterSource());
    const weights = await save('weights.zip', await greeterWeights({ greeting: 'Hello' }));
    const args = ['upload', model, '--source', source, '--weights', weights, '--date', '20260101'];
    const [first, second] = await json<PinnedArtifact[]>(...args);
    assert.equal(first?.object.key, `${model}/src/${model}.zip`);
    assert.equal(second?.object.key, `${model}/model/20260101.zip`);
  });

  test('a plan is shown in words and bytes', async () => {
    const { stdout } = await done('plan', model);
    for (const line of [
      /^build +/m,
      /^push +\d+ of \d+ layers, [\d.]+ k?B/m,
      /^verify +1 sample, ready within 5m/m,
      /^replaces +nothing: the service is new/m,
    ])
      assert.match(stdout, line);
    assert.equal((await json<Plan>('plan', model)).service, model);
  });

  test('a deployment shows its stages line by line, and what serves then', async () => {
    const { stdout, stderr } = await done('deploy', model);
    assert.equal(stderr, '');
    for (const stage of ['upload', 'source-download', 'model-download', 'build', 'push', 'rollout', 'verify'])
      assert.match(stdout, new RegExp(`^${stage}: done in [\\d.]+s`, 'm'));
    assert.match(stdout, new RegExp(`^succeeded: release ${model}\\.r1$`, 'm'));
    assert.match(stdout, new RegExp(`^${model} serves ${model}\\.r1 now$`, 'm'));
    // No terminal, no colours, no drawing.
    assert.equal(stripVTControlCharacters(stdout), stdout);
    assert.equal((await done('predict', model, '--input', '"Ada"')).stdout, '"Hello, Ada!"\n');
    assert.deepEqual(await json('predict', model, '--input', '"Ada"'), { output: 'Hello, Ada!' });
  });

  test('one that is refused says expected, got, what was undone and what serves; status 1', async () => {
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Hi', wrong: true }), '20260102');
    const id = `test/${yard.name('wrong')}`;
    const sample = '{"input":"Ada","expect":"Hi, Ada!"}';
    const { status, stdout } = await run('deploy', model, '--id', id, '--sample', sample);
    assert.equal(status, 1);
    assert.match(stdout, /^failed: VerificationFailed: .*expected "Hi, Ada!", got /m);
    assert.match(stdout, /^ {2}sample 1: expected "Hi, Ada!", got /m);
    assert.match(stdout, /^undone: .*container slipway-/m);
    assert.match(stdout, new RegExp(`^${model} serves ${model}\\.r1 now, as before$`, 'm'));
    const shown = await json<DeploymentStatus>('status', id);
    assert.equal(shown.state, 'failed');
    const { stdout: again } = await done('status', id);
    assert.match(again, /✗ verify/);
    assert.match(again, /^failed: VerificationFailed/m);
  });

  test('a canary shows where it stands, is skipped, and aborted with all it did', async () => {
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Hola' }), '20260102');
    const steps = ['--canary-steps', '10:1h,50:pause'];
    const { stdout: plan } = await done('plan', model, ...steps);
    assert.match(plan, /^strategy +canary: 10 % for 1h, 50 % until resumed$/m);
    assert.match(plan, /^rollout +1 on docker local; 2 at most at once$/m);
    const id = `test/${yard.name('canary')}`;
    const deploying = Slipway.start(['deploy', model, '--id', id, ...steps], env);
    await deploying.said(/^canary step 1 of 2: 10 % for 1h$/m);
    await deploying.said(/^canary 10 %: no requests .*m left$/m);
    const { stdout: shown } = await done('status', id);
    assert.match(shown, /canary +█░ 1 of 2, 10 % {2}canary 10 %: no requests/);
    assert.equal((await done('skip', id)).stdout, 'skipped\n');
    await deploying.said(/^canary step 2 of 2: 50 %, waiting to be resumed$/m);
    assert.match((await done('abort', id, '--reason', 'wrong')).stdout, /^aborting; /);
    const { status, stdout } = await deploying.ended();
    assert.equal(status, 1);
    assert.match(stdout, /^failed: Aborted: aborted by .*: wrong$/m);
    assert.match(stdout, /^undone: route to .*container slipway-/m);
    assert.match(stdout, new RegExp(`^${model} serves ${model}\\.r1 now, as before$`, 'm'));
    assert.match(
      (await done('abort', id)).stdout,
      /^the deployment has ended \(failed\); there is nothing to abort$/m,
    );
  });

  test('Ctrl-C leaves a deployment running, says how to come back, and it can be come back to', async () => {
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Salut', delayMs: 3000 }), '20260103');
    const id = `test/${yard.name('ctrl-c')}`;
    const deploying = Slipway.start(['deploy', model, '--id', id], env);
    await deploying.said(/^upload: /m);
    deploying.interrupt();
    const { status, stderr } = await deploying.ended();
    assert.equal(status, 130);
    assert.match(stderr, /the deployment goes on by itself/);
    assert.ok(stderr.includes(`slipway status ${id} --follow`));
    assert.ok(stderr.includes(`slipway cancel ${id}`));
    assert.equal((await json<DeploymentStatus>('status', id)).endedAt, undefined);
    const followed = await done('status', id, '--follow');
    assert.match(followed.stdout, new RegExp(`^${model} serves ${model}\\.r4 now$`, 'm'));
  });

  test('a terminal that is closed leaves a deployment running, and it can be come back to', async () => {
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Ciao', delayMs: 3000 }), '20260104');
    const id = `test/${yard.name('closed')}`;
    const terminal = Slipway.onTerminal(['deploy', model, '--id', id], env);
    await terminal.said(/upload/);
    terminal.close();
    await terminal.ended();
    // Its own terminal was gone, and so is the command.
    await untilTrue(async () => (await execa('pgrep', ['--full', id], { reject: false })).exitCode === 1);
    assert.equal((await json<DeploymentStatus>('status', id)).endedAt, undefined);
    const followed = await done('status', id, '--follow');
    assert.match(followed.stdout, new RegExp(`^${model} serves ${model}\\.r5 now$`, 'm'));
    assert.deepEqual(await json('predict', model, '--input', '"Ada"'), { output: 'Ciao, Ada!' });
  });

  test('following with --json gives a line for every change, the last one the end', async () => {
    const id = `test/${yard.name('lines')}`;
    await done('deploy', model, '--id', id, '--no-wait', '--approval');
    const following = Slipway.start(['status', id, '--follow', '--json'], env);
    await following.said(/"awaiting-approval"/);
    await done('approve', id, '--reason', 'a test');
    const { status, stdout } = await following.ended();
    assert.equal(status, 0);
    const states = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as DeploymentStatus).state);
    assert.ok(states.length > 2);
    assert.ok(states.includes('awaiting-approval'));
    assert.equal(states.at(-1), 'succeeded');
  });

  test('paused, resumed, rejected, cancelled; cancelling again is no error', async () => {
    const id = `test/${yard.name('steer')}`;
    await done('deploy', model, '--id', id, '--no-wait', '--approval');
    assert.match((await done('pause', id)).stdout, /pausing/);
    assert.match((await done('resume', id)).stdout, /resumed/);
    const waiting = Slipway.start(['status', id, '--follow'], env);
    await waiting.said(/awaiting approval/);
    assert.match((await done('reject', id, '--reason', 'not today')).stdout, /rejected/);
    const { status, stdout } = await waiting.ended();
    assert.equal(status, 1);
    assert.match(stdout, /^failed: Rejected: rejected by .*: not today$/m);
    assert.match((await done('cancel', id)).stdout, /nothing to cancel/);
    assert.deepEqual(await json('cancel', id), { requested: false });
    const refused = await run('approve', id);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /cannot approve .*: the deployment has ended/);
  });

  test('a rollback goes back, and lists show which release is live', async () => {
    await done('rollback', model);
    const { record } = await json<ServiceView>('service', 'status', model);
    const listed = await json<DeploymentSummary[]>('deployments', '--service', model);
    assert.deepEqual(
      listed.map(({ live }) => live),
      listed.map((_deployment, at) => at === 0),
    );
    const { stdout } = await done('deployments', '--service', model);
    assert.equal(stdout.match(/ live$/gm)?.length, 1);
    assert.match((await done('service', 'status', model)).stdout, new RegExp(`serves ${record.live}`));
    assert.match((await done('service', 'list')).stdout, new RegExp(`^${model} +${record.live}`, 'm'));
  });

  test('the log is printed as it is, as JSON Lines, and into a reader that goes away', async () => {
    const [{ deployment }] = (await json<DeploymentSummary[]>('deployments', '--service', model)).slice(
      -1,
    ) as [DeploymentSummary];
    const { stdout } = await done('logs', deployment.workflowId);
    assert.ok(stdout.length > 0);
    const lines = (await done('logs', deployment.workflowId, '--json')).stdout.trimEnd().split('\n');
    assert.equal(`${lines.map((line) => JSON.parse(line) as string).join('\n')}\n`, stdout);
    const reading = Slipway.start(['logs', deployment.workflowId], env);
    reading.stopReading();
    const { status, stderr } = await reading.ended();
    assert.deepEqual([status, stderr], [0, '']);
  });

  test('on a terminal the stages are drawn, in colour unless that is not wanted', async () => {
    for (const [NO_COLOR, coloured] of [
      [undefined, true],
      ['1', false],
    ] as const) {
      // Node takes a terminal in CI for one without colours.
      const looks = { NO_COLOR, CI: undefined, TERM: 'xterm-256color' };
      const drawn = Slipway.onTerminal(['deploy', model], { ...env, ...looks });
      const { status, stdout } = await drawn.ended();
      assert.equal(status, 0, stdout);
      assert.match(stdout, /✓/);
      // oxlint-disable-next-line no-control-regex
      assert.equal(/\u001b\[32m/.test(stdout), coloured);
      // oxlint-disable-next-line no-control-regex
      assert.match(stdout, /\u001b\[\d*A/);
      assert.match(stripVTControlCharacters(stdout), /✓ verify +[\d.]+s/);
    }
  });

  test('on a terminal that does not know its size there are lines instead', async () => {
    const terminal = Slipway.onTerminal(['deploy', model], { ...env, NO_COLOR: '1' }, 'rows 0 cols 0');
    const { status, stdout } = await terminal.ended();
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^verify: done in [\d.]+s/m);
  });

  test('an id nobody knows is told, and a service is not taken for one', async () => {
    const { status, stderr } = await run('status', model);
    assert.equal(status, 1);
    assert.match(stderr, /no such deployment/);
    assert.ok(stderr.includes(`slipway service status ${model}`));
  });
});
