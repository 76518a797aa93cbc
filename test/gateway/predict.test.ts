import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Catalog } from '../../platform/catalog/index.js';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { OwnPostgres } from '../catalog/own-postgres.js';
import { acknowledged, routeTo, TestGateway, until, Upstream } from './fixtures.js';

describe('predictions through the gateway', () => {
  let server: OwnPostgres;
  let catalog: Catalog;
  let gateway: TestGateway;
  let service: string;
  let services = 0;
  const upstreams: Upstream[] = [];
  before(async () => {
    server = await OwnPostgres.start();
    catalog = await postgresCatalog(await server.database('predict'));
    gateway = await TestGateway.start({
      catalog: async () => catalog,
      bodyLimit: 1_000_000,
      answerTimeout: 1_000,
    });
  });
  after(async () => {
    await gateway.close();
    await Promise.all(upstreams.map((upstream) => upstream.kill()));
    await catalog.close();
    await server.close();
  });
  beforeEach(() => {
    service = `iris-${(services += 1)}`;
  });

  async function upstream(...arguments_: Parameters<typeof Upstream.start>): Promise<Upstream> {
    const started = await Upstream.start(...arguments_);
    upstreams.push(started);
    return started;
  }
  async function route(...urls: string[]): Promise<void> {
    await acknowledged(catalog, (await routeTo(catalog, service, urls)).version);
  }
  async function problem(response: Response): Promise<{ type: string; message: string }> {
    return ((await response.json()) as { error: { type: string; message: string } }).error;
  }

  test('a prediction is answered by a replica of the live release, which is named', async () => {
    await route((await upstream('one')).url);
    const response = await gateway.predict(service);
    assert.equal(response.headers.get('x-slipway-release'), `${service}.r1`);
    assert.deepEqual(await response.json(), { output: 'one' });
    const status = await fetch(`${gateway.url}/v1/models/${service}`);
    const { release, replicas } = (await status.json()) as Record<string, unknown>;
    assert.deepEqual([release, replicas], [`${service}.r1`, 1]);
  });

  test('the requests of one client are shared among the replicas', async () => {
    const both = [await upstream('one'), await upstream('two')];
    await route(...both.map(({ url }) => url));
    for (let count = 0; count < 10; count += 1) await gateway.output(service);
    assert.deepEqual(
      both.map(({ requests }) => requests.length),
      [5, 5],
    );
  });

  test('what the replica says of the input comes back as it is', async () => {
    const refusing = await upstream('refusing', (_request, response) => {
      response.writeHead(422, {
        'content-type': 'text/plain',
        connection: 'close, x-hop',
        'x-hop': '1',
        'x-kept': '1',
      });
      response.end('no such feature');
    });
    await route(refusing.url);
    const response = await gateway.predict(service);
    assert.equal(response.status, 422);
    assert.equal(await response.text(), 'no such feature');
    assert.equal(response.headers.get('x-kept'), '1');
    assert.equal(response.headers.get('x-hop'), null);
  });

  test('headers of the connection and credentials stay at the gateway', async () => {
    const seen = await upstream('one');
    await route(seen.url);
    const headers = {
      'x-kept': '1',
      'x-hop': '1',
      cookie: 'a=b',
      authorization: 'Bearer t',
      te: 'trailers',
      connection: 'x-hop',
    };
    const socket = openSocket(gateway.url);
    socket.write(`${post(service, { 'content-length': '2', ...headers })}{}`);
    await once(socket, 'data');
    socket.destroy();
    const got = seen.requests[0]!.headers;
    assert.equal(got['x-kept'], '1');
    assert.equal(got.host, new URL(seen.url).host);
    for (const name of ['x-hop', 'cookie', 'authorization', 'te']) assert.equal(got[name], undefined, name);
  });

  test('bodies and answers pass through piece by piece', async () => {
    const echo = await upstream('echo', (request, response) => void request.pipe(response));
    await route(echo.url);
    let say: (text: string) => void = () => undefined;
    const body = new ReadableStream({
      start: (controller) => {
        say = (text) => (text ? controller.enqueue(Buffer.from(text)) : controller.close());
      },
    });
    const asked = gateway.predict(service, body, { duplex: 'half' } as RequestInit);
    say('one');
    const reader = (await asked).body!.getReader();
    assert.equal(Buffer.from((await reader.read()).value!).toString(), 'one');
    say('two');
    assert.equal(Buffer.from((await reader.read()).value!).toString(), 'two');
    say('');
    assert.equal((await reader.read()).done, true);
  });

  test('a body over the limit is refused, announced or not', async () => {
    const one = await upstream('one');
    await route(one.url);
    const large = Buffer.alloc(1_500_000);
    const announced = await gateway.predict(service, large);
    assert.equal(announced.status, 413);
    assert.equal((await problem(announced)).type, 'InvalidInput');
    assert.equal(one.requests.length, 0);
    const stream = new Blob([large]).stream();
    const streamed = await gateway.predict(service, stream, { duplex: 'half' } as RequestInit);
    assert.equal(streamed.status, 413);
    assert.equal((await gateway.predict(service, Buffer.alloc(900_000))).status, 200);
  });

  test('a replica that answers before it has read the body is heard', async () => {
    const hasty = await upstream(
      'hasty',
      (_request, response) => void response.writeHead(400).end('too odd'),
    );
    await route(hasty.url);
    const body = new ReadableStream({
      async pull(controller) {
        await delay(20);
        controller.enqueue(Buffer.alloc(10_000));
      },
    });
    const response = await gateway.predict(service, body, { duplex: 'half' } as RequestInit);
    assert.equal(response.status, 400);
    assert.equal(await response.text(), 'too odd');
  });

  test('what such a replica left unread does not hold up the next request on the connection', async () => {
    const hasty = await upstream(
      'hasty',
      (_request, response) => void response.writeHead(400).end('too odd'),
    );
    await route(hasty.url);
    const socket = openSocket(gateway.url);
    let answers = '';
    socket.on('data', (data) => (answers += data.toString()));
    socket.write(post(service, { 'content-length': '900000' }));
    for (let piece = 0; piece < 90; piece += 1) {
      socket.write(Buffer.alloc(10_000));
      await delay(1);
    }
    socket.write(`${post(service, { 'content-length': '2' })}{}`);
    await until(() => answers.split('too odd').length === 3);
    socket.destroy();
  });

  test('an unknown service is told from one that cannot be reached', async () => {
    const unknown = await gateway.predict('nobody');
    assert.equal(unknown.status, 404);
    assert.equal((await problem(unknown)).type, 'NotFound');
    assert.equal((await fetch(`${gateway.url}/v1/models/nobody`)).status, 404);
    assert.equal((await fetch(`${gateway.url}/elsewhere`)).status, 404);
    const gone = await upstream('gone');
    await route(gone.url);
    await gone.kill();
    const started = Date.now();
    const away = await gateway.predict(service);
    assert.equal(away.status, 503);
    assert.equal(away.headers.get('retry-after'), '1');
    assert.equal((await problem(away)).type, 'Unavailable');
    assert.ok(Date.now() - started < 4_000);
  });

  test('a replica that refuses connections is passed over', async () => {
    const [gone, alive] = [await upstream('gone'), await upstream('alive')];
    await route(gone.url, alive.url);
    await gone.kill();
    for (let count = 0; count < 20; count += 1) assert.equal(await gateway.output(service), 'alive');
  });

  test('a replica that is restarting is waited for', async () => {
    const first = await upstream('first');
    await route(first.url);
    await first.kill();
    const asked = gateway.output(service);
    await delay(700);
    await upstream('second', undefined, first.port);
    assert.equal(await asked, 'second');
  });

  test('a request that was sent is never sent again', async () => {
    const cutting = await upstream('cutting', async (request) => {
      for await (const _ of request);
      request.socket.destroy();
    });
    const other = await upstream('other', async (request) => {
      request.socket.destroy();
    });
    await route(cutting.url, other.url);
    const response = await gateway.predict(service);
    assert.equal(response.status, 502);
    assert.equal((await problem(response)).type, 'Unavailable');
    assert.equal(cutting.requests.length + other.requests.length, 1);
  });

  test('connections that a replica closes while they are idle lose no request', async () => {
    const closing = await upstream('closing');
    await route(closing.url);
    for (let count = 0; count < 200; count += 1) {
      assert.equal(await gateway.output(service), 'closing');
      closing.server.closeIdleConnections();
    }
  });

  test('a replica that does not answer in time is given up', async () => {
    await route((await upstream('silent', () => undefined)).url);
    const response = await gateway.predict(service);
    assert.equal(response.status, 504);
    assert.equal((await problem(response)).type, 'Unavailable');
  });

  test('an answer that breaks off is broken off to the client too', async () => {
    const breaking = await upstream('breaking', (_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{"out');
      setTimeout(() => response.destroy(), 100);
    });
    await route(breaking.url);
    const response = await gateway.predict(service);
    await assert.rejects(response.text());
  });

  test('a client that leaves ends its request at the replica', async () => {
    let ended = false;
    const slow = await upstream(
      'slow',
      (_request, response) => void response.once('close', () => (ended = true)),
    );
    await route(slow.url);
    const leaving = new AbortController();
    const asked = assert.rejects(gateway.predict(service, '{}', { signal: leaving.signal }));
    await until(() => slow.requests.length === 1);
    leaving.abort();
    await asked;
    await until(() => ended);
  });

  test('any content type, none, and empty bodies pass', async () => {
    await route((await upstream('one')).url);
    const npy = { headers: { 'content-type': 'application/x-npy; version=1' } };
    assert.equal((await gateway.predict(service, 'x', npy)).status, 200);
    assert.equal((await gateway.predict(service, Buffer.from('x'), { headers: {} })).status, 200);
    assert.equal((await gateway.predict(service, null, { headers: {} })).status, 200);
    const bad = await gateway.predict(service, 'x', { headers: { 'content-type': 'not a type' } });
    assert.equal(bad.status, 415);
    assert.equal((await problem(bad)).type, 'InvalidInput');
  });

  test('requests are counted by service and status; names that nobody serves are not listed', async () => {
    await route((await upstream('one')).url);
    await gateway.output(service);
    await gateway.predict('made-up');
    await delay(50);
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    assert.match(text, new RegExp(`slipway_gateway_requests_total\\{service="${service}",status="200"\\} 1`));
    assert.match(text, new RegExp(`slipway_gateway_request_seconds_count\\{service="${service}"\\} 1`));
    assert.match(text, /slipway_gateway_route_version \d/);
    assert.doesNotMatch(text, /made-up/);
  });
});

/** `fetch` lets nobody set connection headers or choose a connection. */
const post = (service: string, headers: Record<string, string>): string =>
  Object.entries({ host: 'gateway', ...headers }).reduce(
    (head, [name, value]) => `${head}${name}: ${value}\r\n`,
    `POST /v1/models/${service}/predict HTTP/1.1\r\n`,
  ) + '\r\n';

function openSocket(url: string): Socket {
  const { hostname, port } = new URL(url);
  return connect(Number(port), hostname);
}
