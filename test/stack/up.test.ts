import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { after, describe, test } from 'node:test';
import { examine } from '../../infra/local/doctor.js';
import { findHome } from '../../infra/local/home.js';
import { componentPid, stackComponents, testStack } from '../support/stack.js';
import { slipway, up } from './cli.js';
import { killComponent, repair } from '../support/harm.js';

const names = await stackComponents();

describe('slipway up', () => {
  after(() => repair());

  test('leaves a running stack alone', async () => {
    await repair();
    const before = await Promise.all(names.map(componentPid));
    const states = await up();
    assert.deepEqual(states, Object.fromEntries(names.map((name) => [name, 'running'])));
    assert.deepEqual(await Promise.all(names.map(componentPid)), before);
  });

  for (const name of names)
    test(`brings ${name} back after kill -9, and nothing else is touched`, async (t) => {
      const others = names.filter((other) => other !== name);
      const before = await Promise.all(others.map(componentPid));
      if ((await componentPid(name)) === null) return t.skip('it is not ours to kill');
      await killComponent(name, 'SIGKILL');
      assert.deepEqual(await wrong(), [...(name === 'docker' ? ['engine'] : []), name], 'doctor sees it');

      assert.equal((await up())[name], 'restarted');
      assert.deepEqual(await Promise.all(others.map(componentPid)), before);
      assert.deepEqual(await wrong(), []);
    });

  test('doctor ends with status 1 while something is wrong, and says what to do', async () => {
    assert.equal((await slipway(['doctor'])).exitCode, 0);
    await killComponent('minio', 'SIGKILL');
    const { exitCode, stdout } = await slipway(['doctor']);
    assert.equal(exitCode, 1);
    assert.match(stdout, /✗ minio\s+not running\n\s+→ slipway up/);
    await repair();
  });

  test('says that pickles are allowed here, as long as they are', async () => {
    const { stackFile } = findHome();
    const given = JSON.parse(await readFile(stackFile, 'utf8')) as object;
    const said = async (): Promise<string> => (await slipway(['up'])).stdout;
    const sentence = /Pickle and joblib weights are allowed here: they run the code they contain/;
    assert.match(await said(), sentence);
    await writeFile(stackFile, JSON.stringify({ ...given, allowPickle: false }));
    try {
      assert.doesNotMatch(await said(), /pickle/i);
      assert.equal((await testStack()).allowPickle, false, 'it keeps what was chosen');
    } finally {
      await writeFile(stackFile, JSON.stringify(given));
    }
    assert.match(await said(), sentence);
  });

  test('keeps credentials from other users', async () => {
    const home = findHome();
    for (const file of [home.stackFile, home.settingsFile])
      assert.equal(((await stat(file)).mode & 0o777).toString(8), '600', file);
    const { token } = await testStack();
    assert.match(token, /^[0-9a-f]{48}$/);
  });

  test('keeps a bucket whose objects keep their versions', async () => {
    const { s3 } = await testStack();
    const { Client } = await import('minio');
    const { hostname, port } = new URL(s3.endpoint);
    const client = new Client({ endPoint: hostname, port: Number(port), useSSL: false, ...s3 });
    const first = await client.putObject(s3.bucket, 'stack/one', 'first');
    await client.putObject(s3.bucket, 'stack/one', 'second');
    const old = await client.getObject(s3.bucket, 'stack/one', { versionId: first.versionId ?? '' });
    assert.equal(Buffer.concat(await old.toArray()).toString(), 'first');
  });
});

/** What doctor finds wrong. */
const wrong = async (): Promise<string[]> =>
  (await examine(findHome())).filter(({ ok }) => ok === false).map(({ check }) => check);
