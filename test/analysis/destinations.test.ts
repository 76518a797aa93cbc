import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { guarded } from '../../platform/analysis/destinations.js';
import { admitQueries, judgeQueries } from '../../platform/analysis/prometheus.js';
import { AnalysisConfig } from '../../contract/stack.js';

const { signal } = new AbortController();
const subject = { service: 'iris', release: 'iris.r2', live: 'iris.r1' };
const checks = [{ name: 'errors', query: 'up', max: 1 }];

describe('the URL of a Prometheus', () => {
  let server: Server;
  let port: number;
  let connections = 0;
  before(async () => {
    server = createServer((_request, response) =>
      response.end('{"status":"success","data":{"resultType":"scalar","result":[0,"1"]}}'),
    );
    server.on('connection', () => connections++);
    // On every address of this machine, so that nothing but what was looked at keeps a connection away.
    server.listen(0, '::');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  });
  after(() => server.close());

  const admit = (url: string, ...allow: string[]): Promise<string[]> =>
    admitQueries({ url, checks }, guarded(AnalysisConfig.parse({ allow }).allow), signal);
  const verdict = async (url: string, ...allow: string[]) =>
    (await judgeQueries({ url, checks }, subject, guarded(allow), signal))[0]!;

  for (const [host, address, kind] of [
    ['127.0.0.1', '127.0.0.1', 'loopback'],
    ['127.9.9.9', '127.9.9.9', 'loopback'],
    ['2130706433', '127.0.0.1', 'loopback'],
    ['0x7f.1', '127.0.0.1', 'loopback'],
    ['0177.0.0.1', '127.0.0.1', 'loopback'],
    ['[::1]', '::1', 'loopback'],
    ['[::ffff:127.0.0.1]', '::ffff:7f00:1', 'loopback'],
    ['0', '0.0.0.0', 'unspecified'],
    ['[::]', '::', 'unspecified'],
    ['[::ffff:0.0.0.0]', '::ffff:0:0', 'unspecified'],
    ['169.254.169.254', '169.254.169.254', 'link-local'],
    ['[::ffff:169.254.169.254]', '::ffff:a9fe:a9fe', 'link-local'],
    ['[fe80::1]', 'fe80::1', 'link-local'],
    ['[fd00:ec2::254]', 'fd00:ec2::254', 'metadata'],
    ['100.100.100.200', '100.100.100.200', 'metadata'],
    ['255.255.255.255', '255.255.255.255', 'multicast or reserved'],
  ] as const)
    test(`is refused at ${host}, and nothing is connected to`, async () => {
      const before = connections;
      const url = `http://${host}:${port}`;
      await assert.rejects(admit(url), {
        message:
          `strategy.analysis.prometheus.url: asking Prometheus at ${url}: ${address} is a ${kind} address: ` +
          `"analysis.allow" of this installation's configuration does not name it`,
      });
      const judged = await verdict(url);
      assert.ok(judged.verdict === 'missing' && judged.why.includes('analysis.allow'), judged.verdict);
      assert.equal(connections, before);
    });

  test('is refused when its name leads there, naming both, over TLS as well', async () => {
    const before = connections;
    for (const scheme of ['http', 'https'])
      await assert.rejects(
        admit(`${scheme}://localhost:${port}`),
        /^SlipwayError: strategy\.analysis\.prometheus\.url: .*"localhost" is (127\.0\.0\.1|::1), a loopback address: "analysis\.allow"/,
      );
    assert.equal(connections, before);
  });

  test('may lead there where the configuration names the address, its range or the origin', async () => {
    const literal = `http://127.0.0.1:${port}`;
    const named = `http://localhost:${port}`;
    for (const [url, ...allow] of [
      [literal, '127.0.0.1'],
      [literal, '127.0.0.0/8'],
      [literal, literal],
      [`${literal}/prometheus`, literal],
      [`http://[::1]:${port}`, '::1'],
      [`http://[::ffff:127.0.0.1]:${port}`, '127.0.0.0/8'],
      [named, '127.0.0.0/8', '::1'],
      [named, named],
    ] as const) {
      const before = connections;
      assert.deepEqual(await admit(url, ...allow), [], url);
      assert.equal((await verdict(url, ...allow)).verdict, 'held', url);
      assert.equal(connections, before + 2);
    }
  });

  test('may not where it names another', async () => {
    const literal = `http://127.0.0.1:${port}`;
    for (const allow of [`https://127.0.0.1:${port}`, 'http://127.0.0.1:1', '127.0.0.2', '169.254.0.0/16'])
      await assert.rejects(admit(literal, allow), /does not name it/, allow);
  });

  test('connects to those of a name’s addresses that are allowed', async () => {
    // Where `localhost` is one address only, that is the one that is not allowed.
    const ways = await Promise.allSettled([
      admit(`http://localhost:${port}`, '127.0.0.1'),
      admit(`http://localhost:${port}`, '::1'),
    ]);
    assert.ok(ways.some(({ status }) => status === 'fulfilled'));
  });

  test('that is in a private network, where Prometheus lives, is asked', async () => {
    // Documentation addresses and those of nobody here: no answer, and no refusal.
    const dispatcher = guarded([]);
    const soon = AbortSignal.timeout(1_000);
    for (const host of ['10.255.255.1', '192.168.255.1', '[fd00::1]'])
      await assert.rejects(
        admitQueries({ url: `http://${host}:9`, checks }, dispatcher, soon).then((warnings) => {
          assert.doesNotMatch(warnings.join(), /analysis\.allow/);
          throw new Error('was asked');
        }),
        /was asked|aborted due to timeout/,
      );
  });
});

describe('analysis.allow', () => {
  for (const entry of [
    'localhost',
    'http://localhost:9090/path',
    'http://ann@localhost',
    '127.0.0.0/40',
    'ftp://a',
  ])
    test(`is refused with "${entry}"`, () => {
      assert.match(
        String(AnalysisConfig.safeParse({ allow: [entry] }).error?.issues[0]?.message),
        /must be an origin, an address or a range/,
      );
    });
});
