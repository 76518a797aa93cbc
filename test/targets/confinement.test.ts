import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Replica } from '../../contract/pipeline.js';
import { testStack } from '../support/stack.js';
import { probeImage } from './probe.js';
import { Yard } from './yard.js';

const stack = await testStack();

describe('model code in a container', () => {
  let yard: Yard;
  let replica: Replica;
  before(async () => {
    yard = new Yard(stack);
    const image = await probeImage(stack);
    [replica] = (await yard.up(yard.set(image))) as [Replica];
  });
  after(async () => await yard.close());

  const python = (code: string) => yard.docker('exec', replica.name, 'python3', '-c', code);

  test('is not root although its image would be', async () => {
    assert.equal(await python('import os; print(os.getuid(), os.getgid())'), '65532 65532');
  });

  test('runs as the user its image names', async () => {
    const other = new Yard(stack);
    try {
      const [named] = await other.up(other.set(await probeImage(stack, { user: '1234:1234' })));
      const uid = await other.docker('exec', named!.name, 'python3', '-c', 'import os; print(os.getuid())');
      assert.equal(uid, '1234');
    } finally {
      await other.close();
    }
  });

  test('has no capabilities and cannot gain any', async () => {
    const status = await python('print(open("/proc/1/status").read())');
    for (const kind of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      assert.match(status, new RegExp(`^${kind}:\\t0+$`, 'm'));
    assert.match(status, /^NoNewPrivs:\t1$/m);
  });

  test('writes to /tmp only', async () => {
    assert.equal(await python('open("/tmp/x", "w").write("x"); print("ok")'), 'ok');
    await assert.rejects(python('open("/x", "w")'), /Read-only file system/);
  });

  test('has no engine socket and nothing mounted but its own', async () => {
    const mounts = JSON.parse(
      await yard.docker('inspect', '-f', '{{json .Mounts}}', replica.name),
    ) as unknown[];
    assert.deepEqual(mounts, []);
    await assert.rejects(python('open("/var/run/docker.sock")'), /No such file/);
  });

  test('cannot open connections to the outside, soon', async () => {
    const said = await python(
      [
        'import socket, time',
        'began = time.time()',
        'try:',
        '    socket.create_connection(("1.1.1.1", 443), 2); print("out")',
        'except OSError: print("in")',
        'try:',
        '    socket.create_connection(("example.com", 443), 2); print("out")',
        'except OSError: print("in")',
        'print("soon" if time.time() - began < 30 else "late")',
        'print(*[line for line in open("/etc/resolv.conf").read().split() if ":" in line])',
      ].join('\n'),
    );
    const [first, second, soon, options = ''] = said.split('\n');
    assert.deepEqual([first, second, soon], ['in', 'in', 'soon']);
    // By default a name is asked for twice, 5 s each time.
    for (const option of ['timeout:1', 'attempts:1']) assert.ok(options.split(' ').includes(option), said);
  });

  test('may go out where the node allows it', async () => {
    const open = new Yard(stack, { nodes: [{ egress: 'open' }] });
    try {
      const [free] = await open.up(open.set(await probeImage(stack)));
      assert.match(
        await open.docker('inspect', '-f', '{{.HostConfig.NetworkMode}}', free!.name),
        /default|bridge/,
      );
    } finally {
      await open.close();
    }
  });

  test('cannot reach another replica', async () => {
    const [second] = await yard.up(yard.set(await probeImage(stack), {}, 'serve', 2));
    const address = await yard.docker(
      'inspect',
      '-f',
      '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}',
      second!.name,
    );
    const said = await python(
      `import socket\ntry:\n    socket.create_connection(("${address}", 8000), 2); print("reached")\nexcept OSError: print("alone")`,
    );
    assert.equal(said, 'alone');
  });

  test('has bounded memory, processor, processes and logs', async () => {
    const inspected = JSON.parse(
      await yard.docker('inspect', '-f', '{{json .HostConfig}}', replica.name),
    ) as {
      Memory: number;
      NanoCpus: number;
      PidsLimit: number;
      LogConfig: { Type: string; Config: Record<string, string> };
      PortBindings: Record<string, { HostIp: string }[]>;
    };
    assert.equal(inspected.Memory, 128 * 2 ** 20);
    assert.equal(inspected.NanoCpus, 5e8);
    assert.equal(inspected.PidsLimit, 1024);
    assert.equal(inspected.LogConfig.Config['max-size'], '10m');
    assert.equal(inspected.PortBindings['8000/tcp']![0]!.HostIp, '127.0.0.1');
    await assert.rejects(python('bytearray(b"x" * (300 << 20))'));
  });
});
