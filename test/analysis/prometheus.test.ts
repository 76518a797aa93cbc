import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { guarded } from '../../platform/analysis/destinations.js';
import { admitQueries, judgeQueries } from '../../platform/analysis/prometheus.js';
import { Prometheus } from './prometheus-server.js';

const signal = new AbortController().signal;
const local = guarded(['127.0.0.0/8']);
const subject = { service: 'iris', release: 'iris.r2', live: 'iris.r1' };

describe('a query to Prometheus', () => {
  let prometheus: Prometheus;
  before(async () => {
    prometheus = await Prometheus.start();
    prometheus.errors.set({ release: 'iris.r1' }, 0.01);
    prometheus.errors.set({ release: 'iris.r2' }, 0.2);
    await prometheus.knows('model_errors{release="iris.r2"}');
  });
  after(() => prometheus.stop());

  const judge = async (
    query: string,
    bounds: { min?: number; max?: number } = { max: 0.3 },
    url?: string,
  ) => {
    const checks = [{ name: 'errors', query, ...bounds }];
    const [measurement] = await judgeQueries({ url: url ?? prometheus.url, checks }, subject, local, signal);
    return measurement!;
  };

  test('is asked for the release, and held against its bounds', async () => {
    const query = 'model_errors{release="{{release}}"}';
    assert.deepEqual(await judge(query), {
      check: 'errors',
      wanted: 'at most 0.3',
      verdict: 'held',
      measured: '0.2',
    });
    assert.equal((await judge(query, { max: 0.1 })).verdict, 'failed');
    assert.equal((await judge(query, { min: 0.1, max: 0.3 })).verdict, 'held');
    assert.equal((await judge(query, { min: 0.3 })).verdict, 'failed');
  });

  test('may compare with the live release, and be a scalar', async () => {
    const than = 'model_errors{release="{{release}}"} / on() model_errors{release="{{ live }}"}';
    const measured = await judge(than, { max: 10 });
    assert.ok(measured.verdict === 'failed' && Math.abs(Number(measured.measured) - 20) < 1e-6);
    assert.equal((await judge(`scalar(${than})`, { max: 30 })).verdict, 'held');
  });

  for (const [what, query, why] of [
    ['nothing', 'model_errors{release="{{service}}.r9"}', /no result/],
    ['no number', '0 / 0 * model_errors{release="{{release}}"}', /NaN is no measurement/],
    ['no end', 'model_errors{release="{{release}}"} / 0', /\+Inf is no measurement/],
    ['several values', 'model_errors', /2 results instead of one: aggregate/],
    ['many values', 'model_errors{release="{{release}}"}[5m]', /is a matrix, not one number/],
    ['a text', '"held"', /is a string, not one number/],
    ['what it cannot read', 'sum(', /Prometheus says bad_data: .*parse error/],
  ] as const)
    test(`that is answered with ${what} is no measurement`, async () => {
      const measurement = await judge(query);
      assert.ok(measurement.verdict === 'missing', measurement.verdict);
      assert.match(measurement.why, why);
    });

  test('it cannot read is refused beforehand, naming the field', async () => {
    const checks = [
      { name: 'errors', query: 'model_errors{release="{{release}}"}', max: 1 },
      { name: 'broken', query: 'sum(', max: 1 },
    ];
    await assert.rejects(
      admitQueries({ url: prometheus.url, checks }, local, signal),
      /^SlipwayError: strategy\.analysis\.prometheus\.checks\.1\.query \("broken"\): Prometheus says bad_data/,
    );
    assert.deepEqual(
      await admitQueries({ url: prometheus.url, checks: checks.slice(0, 1) }, local, signal),
      [],
    );
  });

  test('that is not answered is no measurement, and a warning beforehand; later it is one again', async () => {
    const query = 'model_errors{release="{{release}}"}';
    await prometheus.pause();
    const measurement = await judge(query);
    assert.ok(measurement.verdict === 'missing');
    assert.match(measurement.why, /asking Prometheus at http.*: connect ECONNREFUSED/);
    const checks = [{ name: 'errors', query, max: 1 }];
    const [warning] = await admitQueries({ url: prometheus.url, checks }, local, signal);
    assert.match(warning!, /^strategy\.analysis\.prometheus: asking Prometheus at .*ECONNREFUSED/);
    await prometheus.resume();
    await prometheus.knows('model_errors{release="iris.r2"}');
    assert.equal((await judge(query)).verdict, 'held');
  });

  test('to something else than Prometheus is no measurement; it is not followed elsewhere', async () => {
    let followed = false;
    const other = await serve((path, response) => {
      if (path === '/moved') followed = true;
      if (path.startsWith('/page/')) response.end('<h1>hello</h1>');
      else if (path.startsWith('/large/')) response.end(' '.repeat(2 ** 21));
      else response.writeHead(302, { location: '/moved' }).end();
    });
    const base = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    for (const [path, why] of [
      ['', /answered 302, and not as Prometheus does/],
      ['/page', /answered 200, and not as Prometheus does/],
      ['/large', /larger than/],
    ] as const) {
      const measurement = await judge('up', { min: 1 }, base + path);
      assert.ok(measurement.verdict === 'missing');
      assert.match(measurement.why, why);
    }
    other.close();
    assert.equal(followed, false);
  });

  test('that hangs is given up', { timeout: 60_000 }, async () => {
    const silent = await serve(() => undefined);
    const measurement = await judge('up', {}, `http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
    assert.ok(measurement.verdict === 'missing');
    assert.match(measurement.why, /no answer within 10 s/);
    silent.closeAllConnections();
    silent.close();
  });
});

type Answer = (path: string, response: ServerResponse) => unknown;

async function serve(answer: Answer): Promise<Server> {
  const server = createServer((request, response) => void answer(request.url ?? '', response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
