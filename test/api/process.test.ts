import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import type { Stack } from '../../contract/stack.js';
import { stackAway } from './server.js';
import { serverPort } from '../support/ports.js';

const entry = fileURLToPath(new URL('../../api/main.js', import.meta.url));

describe('the API and gateway process', () => {
  let folder: string;
  let stack: Stack;
  let child: ChildProcess;
  let log = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-api-'));
    const away = await stackAway();
    stack = {
      ...away,
      api: `http://127.0.0.1:${await serverPort()}`,
      gateway: `http://127.0.0.1:${await serverPort()}`,
      token: 'a-token-that-is-secret',
      s3: { ...away.s3, secretKey: 'a-key-that-is-secret' },
      postgres: away.postgres.replace('a:b@', 'a:a-password-that-is-secret@'),
      cache: { ...away.cache, path: join(folder, 'cache') },
      state: join(folder, 'state'),
    };
    await writeFile(join(folder, 'stack.json'), JSON.stringify(stack));
    const env = { ...process.env, SLIPWAY_STACK: join(folder, 'stack.json') };
    child = spawn(process.execPath, ['--enable-source-maps', entry], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (bytes: Buffer) => (log += bytes.toString()));
  });
  after(async () => {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  const answers = async (url: string): Promise<boolean> =>
    await fetch(`${url}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    );

  test('starts while every server behind it is away', { timeout: 300_000 }, async () => {
    while (!(await answers(stack.api)) || !(await answers(stack.gateway))) {
      assert.equal(child.exitCode, null, log);
      await delay(100);
    }
  });

  test('ends in order on SIGTERM, and has logged no secret', { timeout: 180_000 }, async () => {
    const headers = { authorization: `Bearer ${stack.token}` };
    assert.equal((await fetch(`${stack.api}/api/v1/services`, { headers })).status, 503);
    assert.equal((await fetch(`${stack.api}/api/v1/services`)).status, 401);
    child.kill('SIGTERM');
    const [status] = (await once(child, 'exit')) as [number | null];
    assert.equal(status, 0, log);
    assert.match(log, /PostgreSQL at .* is away/);
    assert.doesNotMatch(log, /that-is-secret/);
  });
});
