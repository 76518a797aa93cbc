import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { choosePorts, isFree, portNames, preferredPort } from '../../infra/local/ports.js';
import {
  findOwned,
  hasEnded,
  isRunning,
  ownerVariable,
  startTime,
  stopProcess,
} from '../../infra/local/processes.js';

describe('processes of the stack', () => {
  let child: ChildProcess | undefined;
  afterEach(() => void child?.kill('SIGKILL'));
  const start = async (script: string): Promise<{ pid: number; start: string }> => {
    child = spawn('sh', ['-c', script], {
      stdio: 'ignore',
      env: { ...process.env, [ownerVariable]: 'local-test/example' },
    });
    const pid = child.pid as number;
    return { pid, start: (await startTime(pid)) ?? '' };
  };

  test('one that got the number of another is never ended', async () => {
    const id = await start('exec sleep 60');
    await stopProcess({ pid: id.pid, start: '1' }, 'SIGKILL', 0);
    assert.equal(await isRunning(id), true);
    await stopProcess(id, 'SIGTERM', 5_000);
    assert.equal(await isRunning(id), false);
  });

  test('one that does not listen is ended all the same', async () => {
    const id = await start('trap "" TERM; while :; do sleep 1; done');
    await new Promise((resolve) => setTimeout(resolve, 200));
    await stopProcess(id, 'SIGTERM', 300);
    assert.equal(await hasEnded(id, 1_000), true);
  });

  test('what was started and never written down is found by its owner', async () => {
    const { pid } = await start('exec sleep 60');
    await new Promise((resolve) => setTimeout(resolve, 200));
    for (const owner of ['local-test', 'local-test/example'])
      assert.ok((await findOwned(owner)).some((id) => id.pid === pid));
    assert.deepEqual(await findOwned('local-tes'), []);
  });
});

describe('ports of the stack', () => {
  test('preferred ones when they are free, others when they are taken, the same ones again', async () => {
    // Apart from those of stacks, one of which may be starting now.
    let base = randomInt(20_000, 29_000);
    while (!(await Promise.all(portNames.map((_name, index) => isFree(base + index)))).every(Boolean))
      base += 100;
    process.env['SLIPWAY_PORT_BASE'] = String(base);
    const server = createServer().listen(preferredPort('temporal'), '127.0.0.1');
    try {
      const nobody = (): Promise<boolean> => Promise.resolve(false);
      const chosen = await choosePorts({}, nobody);
      assert.equal(chosen.gateway, base);
      assert.equal(chosen.temporal, preferredPort('temporal') + 10, 'the same place in the next block');
      assert.equal(new Set(Object.values(chosen)).size, portNames.length, 'all different');
      assert.equal(await isFree(chosen.temporal), true);
      assert.deepEqual(await choosePorts(chosen, nobody), chosen);
    } finally {
      server.close();
      delete process.env['SLIPWAY_PORT_BASE'];
    }
  });
});
