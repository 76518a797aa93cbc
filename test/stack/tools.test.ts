import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { goBuild } from '../../infra/local/tools/go.js';
import { isAtLeast } from '../../infra/local/tools/path.js';
import { getTool, type Source, type Tool } from '../../infra/local/tools/tool.js';
import { selfSigned } from '../support/certificates.js';

const signal = new AbortController().signal;

describe('finding a tool', () => {
  let folder: string;
  let found: { path: string | undefined; cache: string | undefined };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-tools-'));
    found = { path: process.env['PATH'], cache: process.env['XDG_CACHE_HOME'] };
    process.env['XDG_CACHE_HOME'] = join(folder, 'cache');
    await mkdir(join(folder, 'bin'));
    process.env['PATH'] = `${join(folder, 'bin')}:${found.path}`;
  });
  afterEach(async () => {
    process.env['PATH'] = found.path;
    if (found.cache === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = found.cache;
    await rm(folder, { recursive: true, force: true });
  });

  const onPath = async (version: string): Promise<string> => {
    const path = join(folder, 'bin', 'slipway-example');
    await writeFile(path, `#!/bin/sh\necho example version ${version}\n`);
    await chmod(path, 0o755);
    return path;
  };
  const failing = (what: string, cause: string): Source => ({
    what,
    keeps: { version: '9', program: 'example' },
    install: () => Promise.reject(new Error(cause)),
  });
  const making: Source = {
    what: 'making it',
    keeps: { version: '2.1', program: 'example' },
    install: (into) => writeFile(join(into, 'example'), 'made', { mode: 0o755 }),
  };
  const example = (...sources: Source[]): Tool => ({
    name: 'example',
    commands: ['slipway-example'],
    floor: { version: '2.0', read: /version (\S+)/ },
    sources,
    advice: 'Install example by hand.',
  });

  test('one on PATH is used', async () => {
    const path = await onPath('2.10.1');
    assert.equal(await getTool(example(), () => undefined, signal), path);
  });

  test('one on PATH that is too old is not; the next way that works is, and is kept', async () => {
    await onPath('1.9');
    const tool = example(failing('downloading it', 'no way out'), making);
    const said: string[] = [];
    const path = await getTool(tool, (doing) => said.push(doing), signal);
    assert.equal(path, join(folder, 'cache', 'slipway', 'tools', 'example-2.1', 'example'));
    assert.equal(await readFile(path, 'utf8'), 'made');
    assert.deepEqual(said, ['downloading it', 'downloading it: failed, no way out', 'making it']);
    said.length = 0;
    assert.equal(await getTool(tool, (doing) => said.push(doing), signal), path);
    assert.deepEqual(said, [], 'the second time it is there');
  });

  test('when nothing works the error says what was tried, why it failed, and what to do', async () => {
    await onPath('1.9');
    const tool = example(failing('downloading it', 'no way out'), failing('building it', 'no compiler'));
    await assert.rejects(
      getTool(tool, () => undefined, signal),
      (error: Error) => {
        assert.match(error.message, /^finding "example": nothing worked\n/);
        assert.match(error.message, /slipway-example is 1\.9, older than 2\.0/);
        assert.match(error.message, /- downloading it: no way out\n/);
        assert.match(error.message, /- building it: no compiler\n/);
        assert.match(error.message, /Install example by hand\.$/);
        return true;
      },
    );
  });

  test('an installation that is cut short is not taken for a whole one', async () => {
    const half: Source = {
      ...making,
      async install(into) {
        await writeFile(join(into, 'example'), 'ha');
        throw new Error('cut');
      },
    };
    await assert.rejects(
      getTool(example(half), () => undefined, signal),
      /cut/,
    );
    assert.equal(await readFile(await getTool(example(making), () => undefined, signal), 'utf8'), 'made');
  });

  test('versions compare by number', () => {
    assert.ok(isAtLeast('1.29.1', '1.27'));
    assert.ok(isAtLeast('2025-09-07', '2024-01-01'));
    assert.ok(!isAtLeast('20.9.0', '20.10'));
  });
});

describe('downloading a tool', () => {
  let folder: string;
  let server: Server;
  let url: string;
  const files = new Map<string, Buffer>();
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-download-'));
    const { key, certificate } = await selfSigned('DNS:localhost');
    await writeFile(join(folder, 'certificate.pem'), certificate);
    server = createServer({ key, cert: certificate }, (request, response) => {
      const file = files.get(request.url ?? '');
      if (request.url === '/moved') response.writeHead(302, { location: '/tool.tar.gz' }).end();
      else if (request.url === '/unsafe') response.writeHead(302, { location: 'http://localhost/' }).end();
      else if (file) response.writeHead(200, { 'content-length': file.length }).end(file);
      else response.writeHead(404).end();
    }).listen(0, 'localhost');
    await once(server, 'listening');
    url = `https://localhost:${(server.address() as AddressInfo).port}`;
    await mkdir(join(folder, 'content'));
    await writeFile(join(folder, 'content', 'tool'), '#!/bin/sh\necho hello\n', { mode: 0o755 });
    const archive = join(folder, 'tool.tar.gz');
    await execa('tar', ['-czf', archive, '-C', join(folder, 'content'), 'tool']);
    const bytes = await readFile(archive);
    files.set('/tool.tar.gz', bytes);
    const sum = createHash('sha256').update(bytes).digest('hex');
    files.set('/sums', Buffer.from(`${'0'.repeat(64)}  other.tar.gz\n${sum}  tool.tar.gz\n${sum}  moved\n`));
    files.set('/wrong', Buffer.from(`${'0'.repeat(64)}  tool.tar.gz\n`));
  });
  after(async () => {
    server.close();
    server.closeAllConnections();
    await rm(folder, { recursive: true, force: true });
  });

  /** In a process of its own, as only there can another certificate authority be trusted. */
  const get = async (release: object): Promise<{ output: string; message: string }> => {
    const into = await mkdtemp(join(folder, 'into-'));
    const module = fileURLToPath(new URL('../../infra/local/tools/download.js', import.meta.url));
    const script = `
      const { download } = await import(${JSON.stringify(module)});
      const release = ${JSON.stringify({ version: '1', program: 'tool', form: 'tar.gz', ...release })};
      await download(release).install(${JSON.stringify(into)}, () => {}, new AbortController().signal);`;
    const env = { NODE_EXTRA_CA_CERTS: join(folder, 'certificate.pem'), NO_PROXY: 'localhost' };
    const { exitCode, stderr } = await execa(process.execPath, ['--input-type=module', '-e', script], {
      env,
      reject: false,
    });
    if (exitCode !== 0) return { output: '', message: stderr };
    return { output: (await execa(join(into, 'tool'))).stdout, message: '' };
  };

  test('takes what has the sum that its publisher names, over redirects too', async () => {
    assert.deepEqual(await get({ url: `${url}/tool.tar.gz`, sums: `${url}/sums` }), {
      output: 'hello',
      message: '',
    });
    assert.deepEqual(await get({ url: `${url}/moved`, sums: `${url}/sums` }), {
      output: 'hello',
      message: '',
    });
  });

  test('refuses other bytes, a missing sum and a way that is not encrypted', async () => {
    assert.match(
      (await get({ url: `${url}/tool.tar.gz`, sums: `${url}/wrong` })).message,
      /its publisher says 0000/,
    );
    assert.match((await get({ url: `${url}/tool.tar.gz`, sums: `${url}/none` })).message, /status 404/);
    assert.match((await get({ url: `${url}/unsafe` })).message, /not https/);
  });
});

describe('building a tool of this repository with Go', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-go-'));
    await mkdir(join(folder, 'module', 'second'), { recursive: true });
    await mkdir(join(folder, 'into'));
    await writeFile(join(folder, 'module', 'go.mod'), 'module first\n\ngo 1.21\n');
    const program = 'package main\n\nvar word = "unset"\n\nfunc main() { println(word) }\n';
    await writeFile(join(folder, 'module', 'main.go'), program);
    await writeFile(join(folder, 'module', 'second', 'main.go'), program);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const build = (): Source =>
    goBuild({
      module: join(folder, 'module'),
      packages: ['.', './second'],
      ldflags: '-X main.word=set',
      version: '1',
      program: 'first',
      size: 10,
      finish: (into) => writeFile(join(into, 'finished'), ''),
    });

  test('makes every program of it, with its flags', async () => {
    const into = join(folder, 'into');
    await build().install(into, () => undefined, signal);
    for (const program of ['first', 'second']) assert.equal((await execa(join(into, program))).stderr, 'set');
    assert.equal(await readFile(join(into, 'finished'), 'utf8'), '');
  });

  test('says what the compiler said when it fails', async () => {
    await writeFile(join(folder, 'module', 'main.go'), 'package main\n\nfunc main() { nonsense() }\n');
    await assert.rejects(
      build().install(join(folder, 'into'), () => undefined, signal),
      /undefined: nonsense/,
    );
  });
});
