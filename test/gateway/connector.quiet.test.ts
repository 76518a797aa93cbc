import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { connector } from '../../api/gateway/connector.js';

test('a server that is frozen, with its queue of connections full, is given up soon', async (t) => {
  const code = `const server = require('node:net').createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 },
    () => console.log(server.address().port))`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const port = Number(String(await once(child.stdout, 'data')));
  child.kill('SIGSTOP');
  for (const _ of [1, 2]) {
    const waiting = connect(port, '127.0.0.1');
    t.after(() => waiting.destroy());
    await once(waiting, 'connect');
  }
  const started = performance.now();
  const connecting = new Promise((resolve, reject) =>
    connector({ hostname: '127.0.0.1', protocol: 'http:', port: String(port) }, (error, socket) =>
      error ? reject(error) : resolve(socket),
    ),
  );
  await assert.rejects(connecting, { code: 'UND_ERR_CONNECT_TIMEOUT' });
  const took = performance.now() - started;
  assert.ok(took > 240 && took < 480, `given up after ${took} ms`);
});
