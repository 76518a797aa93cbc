import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Slipway } from './slipway.js';
import { serverPort } from '../support/ports.js';

describe('a command', () => {
  let folder: string;
  /** An API that nobody runs: what is refused must be refused before it is asked. */
  let nowhere: NodeJS.ProcessEnv;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-usage-'));
    nowhere = { SLIPWAY_API: `http://127.0.0.1:${await serverPort()}`, SLIPWAY_TOKEN: 'x' };
    await writeFile(join(folder, 'spec.yaml'), 'model: other\n');
    await writeFile(join(folder, 'wrong.yaml'), 'resources:\n  memory: lots\n');
    await writeFile(join(folder, 'no.zip'), 'this is no archive');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const { what, args, says } of [
    { what: 'that does not exist', args: ['depoly', 'iris'], says: /unknown command 'depoly'/ },
    { what: 'without its argument', args: ['deploy'], says: /missing required argument 'model'/ },
    { what: 'with an option nobody knows', args: ['deploy', 'iris', '--fast'], says: /--fast/ },
    { what: 'with a name that is none', args: ['deploy', 'Iris!'], says: /must be 2 to 63 characters/ },
    {
      what: 'with a date that does not exist',
      args: ['upload', 'iris', '--weights', 'w.zip', '--date', '20260230'],
      says: /not a date that exists/,
    },
    { what: 'with nothing to upload', args: ['upload', 'iris'], says: /--source or --weights/ },
    {
      what: 'with a file that is not there',
      args: ['upload', 'iris', '--weights', '/no/such.zip'],
      says: /"\/no\/such\.zip": there is no such file/,
    },
    {
      what: 'with a size that is none',
      args: ['deploy', 'iris', '--memory', 'lots'],
      says: /resources\.memory: must be a size such as/,
    },
    {
      what: 'with a time that is none',
      args: ['deploy', 'iris', '--latency-budget', 'soon'],
      says: /verify\.latencyBudget/,
    },
    {
      what: 'with canary steps that fall',
      args: ['deploy', 'iris', '--canary-steps', '50:pause,10:5m'],
      says: /strategy\.steps\.1\.weight: must not be below the 50/,
    },
    {
      what: 'with a canary step that has no time',
      args: ['plan', 'iris', '--canary-steps', '50'],
      says: /strategy\.steps\.0\.for: must be a duration/,
    },
    {
      what: 'with a canary without steps',
      args: ['deploy', 'iris', '--strategy', 'canary'],
      says: /strategy\.steps/,
    },
    {
      what: 'with steps of what is no canary',
      args: ['deploy', 'iris', '--strategy', 'rolling', '--canary-steps', '50:5m'],
      says: /strategy: Unrecognized key: "steps"/,
    },
    {
      what: 'with a namespace on Docker',
      args: ['deploy', 'iris', '--namespace', 'team'],
      says: /kubernetes: belongs to deployments with "target": "kubernetes"/,
    },
    {
      what: 'with a choice nobody offers',
      args: ['deploy', 'iris', '--on-conflict', 'pray'],
      says: /fail, wait, supersede/,
    },
    { what: 'with a sample that is no JSON', args: ['deploy', 'iris', '--sample', '{'], says: /not JSON/ },
    {
      what: 'with the spec of another model',
      args: ['deploy', 'iris', '--spec', 'spec.yaml'],
      says: /is for model "other", not "iris"/,
    },
    {
      what: 'with a wrong field in its spec',
      args: ['plan', 'iris', '--spec', 'wrong.yaml'],
      says: /resources\.memory/,
    },
    { what: 'with no input to predict', args: ['predict', 'iris'], says: /--input or --file/ },
    { what: 'with a release that is none', args: ['rollback', 'iris', '--to', 'r7'], says: /"iris\.r7"/ },
    { what: 'with a limit that is none', args: ['deployments', '--limit', '0'], says: /--limit/ },
  ])
    test(`${what} says so, prints nothing else and ends with status 2`, async () => {
      const named = args.map((arg) => (arg.endsWith('.yaml') ? join(folder, arg) : arg));
      const { status, stdout, stderr } = await Slipway.run(named, nowhere);
      assert.deepEqual([status, stdout], [2, ''], stderr);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /^ +at /m);
    });

  test('that finds no stack names the file and what to do, and ends with status 1', async () => {
    const environment = { SLIPWAY_HOME: join(folder, 'none'), SLIPWAY_STACK: undefined };
    const { status, stdout, stderr } = await Slipway.run(['deployments'], environment);
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /no stack at ".*none\/stack\.json": run "slipway up"/);
  });

  test('that cannot reach the API names its address and what to do, and ends with status 1', async () => {
    const { status, stderr } = await Slipway.run(['service', 'list'], nowhere);
    assert.equal(status, 1);
    assert.ok(stderr.includes(nowhere['SLIPWAY_API']!));
    assert.match(stderr, /slipway up/);
  });

  test('with an API but no token says which variable is missing', async () => {
    const { status, stderr } = await Slipway.run(['service', 'list'], { ...nowhere, SLIPWAY_TOKEN: '' });
    assert.equal(status, 1);
    assert.match(stderr, /SLIPWAY_TOKEN/);
  });

  test('that fails with --json prints the failure as one document', async () => {
    const { status, stdout } = await Slipway.run(['service', 'list', '--json'], nowhere);
    assert.equal(status, 1);
    const { error } = JSON.parse(stdout) as { error: { type: string; message: string } };
    assert.equal(error.type, 'Unavailable');
  });

  test('that uploads what is no zip says so without sending it', async () => {
    const args = ['upload', 'iris', '--source', join(folder, 'no.zip')];
    const { status, stderr } = await Slipway.run(args, nowhere);
    assert.equal(status, 1);
    assert.match(stderr, /reading ".*no\.zip": .*central directory/i);
  });
});
