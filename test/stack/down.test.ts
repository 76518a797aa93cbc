import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Client } from 'minio';
import postgres from 'postgres';
import { labels } from '../../contract/serving.js';
import type { Stack } from '../../contract/stack.js';
import { connectEngine } from '../../infra/local/engine.js';
import { findHome } from '../../infra/local/home.js';
import { traces } from '../../infra/local/leftovers.js';
import { findOwned } from '../../infra/local/processes.js';
import { readSettings } from '../../infra/local/settings.js';
import { testStack } from '../support/stack.js';
import { slipway, up } from './cli.js';
import { repair } from '../support/harm.js';

describe('slipway down, then up', () => {
  const name = 'slipway-test-down';
  let stack: Stack;
  before(async () => {
    await repair();
    stack = await testStack();
    const s3 = storage(stack);
    await s3.putObject(stack.s3.bucket, 'stack/kept', 'kept');
    await sql(stack, 'create table if not exists kept_by_test as select 42 as answer');
    await runContainer(stack, name);
  });
  after(async () => {
    await repair();
    await sql(stack, 'drop table if exists kept_by_test');
    await connectEngine(stack.docker).getContainer(name).remove({ force: true });
  });

  test('nothing runs in between; data, addresses and containers are as before', async () => {
    const home = findHome();
    const { bridges } = await traces(home);
    const stopped = await slipway(['down']);
    assert.equal(stopped.exitCode, 0, stopped.stderr);
    assert.deepEqual(await findOwned(home.name), [], 'no process');
    if ((await readSettings(home))?.engine?.kind === 'private') {
      assert.equal(existsSync(home.runtime), false, 'no sockets');
      for (const bridge of bridges) assert.equal(existsSync(`/sys/class/net/${bridge}`), false, bridge);
    }
    assert.equal((await slipway(['down'])).exitCode, 0, 'twice is fine');

    await up();
    assert.deepEqual(await testStack(), stack);
    const object = await storage(stack).getObject(stack.s3.bucket, 'stack/kept');
    assert.equal(Buffer.concat(await object.toArray()).toString(), 'kept');
    assert.deepEqual(await sql(stack, 'select answer from kept_by_test'), [{ answer: 42 }]);
    const { State } = await connectEngine(stack.docker).getContainer(name).inspect();
    assert.equal(State.Running, true);
  });
});

const storage = ({ s3 }: Stack): Client => {
  const { hostname, port } = new URL(s3.endpoint);
  return new Client({ endPoint: hostname, port: Number(port), useSSL: false, ...s3 });
};

async function sql(stack: Stack, text: string): Promise<unknown[]> {
  const connection = postgres(stack.postgres, { max: 1, onnotice: () => undefined });
  try {
    return [...(await connection.unsafe(text))];
  } finally {
    await connection.end({ timeout: 1 });
  }
}

/** A container as the stack labels its own, from the base image that the engine pulls from the registry. */
async function runContainer(
  { docker, name: stack, registry, base, nodes }: Stack,
  name: string,
): Promise<void> {
  const engine = connectEngine(docker);
  const image = `${nodes[0]?.registry}/${base.repository}@${base.digest}`;
  const { username, password } = registry;
  const pulling = await engine.pull(image, {
    authconfig: { username, password, serveraddress: nodes[0]?.registry ?? '' },
  });
  await new Promise((resolve, reject) =>
    engine.modem.followProgress(pulling, (error, lines) => (error ? reject(error) : resolve(lines))),
  );
  const container = await engine.createContainer({
    name,
    Image: image,
    Cmd: ['python3', '-m', 'http.server'],
    Labels: { [labels.stack]: stack },
    HostConfig: { Init: true, RestartPolicy: { Name: 'unless-stopped' } },
  });
  await container.start();
}
